"""Errors about manifests and envelopes: a message for people and the coded reason."""

from __future__ import annotations

from tinyops.errors import TinyopsError
from tinyops.suit.cbor import CborError
from tinyops.suit.reasons import Reason


class SuitError(TinyopsError):
    """A manifest, envelope, report or key is not acceptable; `reason` is what the device would report."""

    def __init__(
        self,
        reason: Reason,
        detail: str | None = None,
        *,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            f"{reason.text} ({detail})" if detail else reason.text, where=where, allowed=allowed, hint=hint
        )
        self.reason = reason
        self.detail = detail

    @classmethod
    def of(cls, error: CborError, where: str | None = None) -> SuitError:
        """The same failure of the decoder."""
        return cls(error.reason, str(error), where=where)


class AuthoringError(TinyopsError):
    """A description cannot be said in the dialect, or breaks a rule that some device relies on."""
