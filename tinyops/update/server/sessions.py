"""Who may act on the web page: sessions and form tokens derived from one secret token, nothing kept on the server."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import parse_qs

from starlette.requests import Request

COOKIE = "tinyops"
SESSION_SECONDS = 12 * 3600
_MAX_FORM = 4096
_SESSION = re.compile(r"([0-9]{10,12})\.([0-9a-f]{32})\.([0-9a-f]{64})")


class Sessions:
    """Sessions of people who know the token. A session is EXPIRY.NONCE.MAC under the token."""

    def __init__(self, token: str) -> None:
        self._key = hashlib.sha256(b"tinyops web\0" + token.encode()).digest()
        self._token = self._mac("token", token)

    def knows(self, token: str) -> bool:
        """Whether `token` is the secret one; takes the same time for all."""
        return hmac.compare_digest(self._mac("token", token), self._token)

    def new(self) -> str:
        """A new session, the cookie's value."""
        begin = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{begin}.{self._mac('session', begin)}"

    def of(self, request: Request) -> str | None:
        """The valid session of a request, or None."""
        text = request.cookies.get(COOKIE, "")
        found = _SESSION.fullmatch(text)
        if found is None or int(found[1]) < time.time():
            return None
        good = hmac.compare_digest(found[3], self._mac("session", f"{found[1]}.{found[2]}"))
        return text if good else None

    def csrf(self, session: str) -> str:
        """The token that every form of this session must carry."""
        return self._mac("csrf", session)

    def is_csrf(self, session: str, text: str) -> bool:
        return hmac.compare_digest(self.csrf(session), text.encode("ascii", "replace").decode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}\0{text}".encode(), "sha256").hex()


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a small URL-encoded form, or None."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM:
            return None
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, strict_parsing=bool(body))
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}
