"""Who may send: the token check of the hot path."""

from collections.abc import Iterable

from services.runtime.auth import Grant, Grants, identify
from services.runtime.web import forbidden, unauthorized

Headers = Iterable[tuple[bytes, bytes]]

_REMEMBERED = 64


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in headers:
        if key == name:
            return value
    return None


class Door:
    """Checks tokens; remembers headers that were let in for as long as the tokens in force stay the same."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self._in_force: tuple[Grant, ...] = ()
        self._known: dict[bytes, Grant] = {}

    def admit(self, headers: Headers, scope: str) -> None:
        """Raises `Problem` 401 or 403."""
        grant = self._identify(header(headers, b"authorization") or b"")
        if grant is None:
            raise unauthorized()
        if not grant.allows(scope):
            raise forbidden(scope)

    def _identify(self, presented: bytes) -> Grant | None:
        in_force = tuple(self._grants())
        if in_force != self._in_force:
            self._in_force, self._known = in_force, {}
        grant = self._known.get(presented)
        if grant is None:
            grant = identify(presented.decode("latin-1"), in_force)
            if grant is not None and len(self._known) < _REMEMBERED:
                self._known[presented] = grant
        return grant
