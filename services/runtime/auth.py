"""Who is calling, and what they may do.

Bearer tokens, or Basic with any user and the token as password (browsers, and senders that know nothing else).
Tokens are kept as SHA-256 only and compared in constant time.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Grant:
    """A known token: the hash of its text, who acts with it, and its scopes (`admin` has all)."""

    sha256: str
    actor: str
    scopes: frozenset[str]

    def allows(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


Grants = Callable[[], Sequence[Grant]]
"""The tokens in force now; asked at each call, so that a reload counts at once."""


def new_token() -> str:
    """A token with 30 random characters and a checksum, which secret scanners can recognise."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(30))
    return f"tocsin_{body}{crc32(body.encode()):08x}"


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def bearer_of(header: str | None) -> str | None:
    """The token in an Authorization header, whether Bearer or Basic; None when there is none to be read."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2] or None
    except (binascii.Error, ValueError):
        return None


def identify(header: str | None, grants: Sequence[Grant]) -> Grant | None:
    """The grant of the caller's token, or None. Looks at every grant, so the time tells nothing."""
    token = bearer_of(header)
    if token is None:
        return None
    presented = token_hash(token)
    found = None
    for grant in grants:
        if hmac.compare_digest(grant.sha256, presented):
            found = grant
    return found


def admin_token(folder: Path, given: str | None) -> tuple[str, Path | None]:
    """The administrator's token: the given one, else the one kept in the storage folder (made at first start, mode 0600).

    Returns the token and the file it is kept in, None when it was given.
    """
    if given:
        return given, None
    path = folder / "admin-token"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".admin-token-{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_token() + "\n")
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
    return path.read_text().strip(), path
