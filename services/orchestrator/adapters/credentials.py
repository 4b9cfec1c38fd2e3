"""What is shown to a server: a token or a password, each the first line of a file."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.orchestrator.domain.evidence.evidence import Cause, NoAnswer

HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Credentials:
    """The header that carries them, and every text that must not be shown."""

    header: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def hidden(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


class _NoSecret(Exception):
    """A file has no secret; says in words what to mend and nothing of what was read."""


def credentials(token_file: Path | None, username: str | None, password_file: Path | None) -> Credentials | NoAnswer:
    """The token if there is a file for it, else name and password, else nothing."""
    try:
        if token_file is not None:
            token = _secret(token_file)
            return Credentials({"Authorization": f"Bearer {token}"}, (token,))
        if username is not None:
            return _basic(username, _secret(password_file) if password_file is not None else "")
    except _NoSecret as error:
        return NoAnswer(Cause.UNAUTHORIZED, str(error))
    return Credentials()


def _basic(username: str, password: str) -> Credentials:
    word = b64encode(f"{username}:{password}".encode()).decode()
    return Credentials({"Authorization": f"Basic {word}"}, tuple(filter(None, (word, password))))


def _secret(path: Path) -> str:
    try:
        secret = path.read_text().partition("\n")[0].strip()
    except (OSError, ValueError) as error:
        raise _NoSecret(f"{path} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise _NoSecret(f"the first line of {path} is empty")
    if not (secret.isascii() and secret.isprintable()):
        raise _NoSecret(f"the first line of {path} holds what no header can carry; expected printable ASCII")
    return secret
