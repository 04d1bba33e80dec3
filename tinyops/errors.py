"""The errors a person sees: what is wrong, where, what would be allowed, and the next command."""

from __future__ import annotations


class TinyopsError(Exception):
    """A failure with a message for people; the command line exits with `exit_code`.

    `what` says what is wrong, `where` names the file, tensor, operator or board, `allowed` says what
    would be accepted, and `hint` is the next command to type.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = allowed
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.allowed:
            text += f"\n  allowed: {self.allowed}"
        if self.hint:
            text += f"\n  try: {self.hint}"
        return text

    def as_dict(self) -> dict[str, str | None]:
        """The same for machines (`--json`)."""
        return {
            "error": self.what,
            "where": self.where,
            "allowed": self.allowed,
            "hint": self.hint,
        }


class UsageError(TinyopsError):
    """The command was called wrongly: exit code 2."""

    exit_code = 2


class MissingToolError(TinyopsError):
    """A program or Python package is not installed; `hint` is the command that brings it."""


class ModelError(TinyopsError):
    """A model file is malformed or holds something that is not supported."""


class VerifyError(TinyopsError):
    """The graph breaks a rule of the intermediate representation."""


class DeviceError(TinyopsError):
    """A board, an emulator or the link to it failed."""
