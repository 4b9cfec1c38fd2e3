"""How Tocsin shows who it is to a server outside. Secrets are read anew each time, so that they can be changed under way."""

from base64 import b64encode
from pathlib import Path

from services.config.outside import Login


class NoSecret(Exception):
    """The secret cannot be had; says in words what to mend and nothing of what was read."""


def headers_of(login: Login) -> dict[str, str]:
    """The headers to send; none when no login is configured. Raises `NoSecret`."""
    if login.token_file is not None:
        return {"Authorization": f"Bearer {_first_line(login.token_file, 'token_file')}"}
    if login.username is not None and login.password_file is not None:
        both = f"{login.username}:{_first_line(login.password_file, 'password_file')}"
        return {"Authorization": f"Basic {b64encode(both.encode()).decode()}"}
    return {}


def _first_line(path: Path, key: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, ValueError) as error:
        raise NoSecret(f"{key}: {path} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise NoSecret(f"{key}: the first line of {path} is empty")
    if not secret.isascii() or not secret.isprintable():
        raise NoSecret(f"{key}: the first line of {path} has characters that no header can carry")
    return secret
