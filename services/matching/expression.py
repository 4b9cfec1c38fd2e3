"""Regular expressions: RE2, always about the whole value, remembered.

RE2 takes time in proportion to the value, whatever the expression is. It reads what Alertmanager reads, apart from rarities:
refused are `a)|(b`, which Alertmanager would not anchor, long names of classes (`\\p{Letter}`) and what does not fit into
`MAX_MEMORY`; accepted are `\\C`, and `\\Q` without `\\E`.
"""

import re
from functools import lru_cache
from typing import Protocol

import re2

from services.matching.errors import BadExpression, shown, visible

MAX_MEMORY = 4 << 20
"""Bytes for one expression: a program that needs more is refused, an automaton that needs more is done without."""

LONGEST_REMEMBERED = 256
"""Characters; longer values are not worth the memory."""


class _Expression(Protocol):
    """What we use of a compiled expression of bytes."""

    def fullmatch(self, text: bytes) -> object | None: ...


_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_OFFERED = ("invalid perl operator", "invalid escape sequence")


def check_expression(pattern: str) -> None:
    """Raises `BadExpression` with what RE2 has against it."""
    try:
        _compiled(pattern)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        hint = "; RE2 has no look-arounds and no back-references" if said.startswith(_NOT_OFFERED) else ""
        raise BadExpression(f"expected an RE2 expression, but of {shown(pattern)} RE2 says: {visible(said)}{hint}") from None


def fits(pattern: str, value: str) -> bool:
    """Whether the whole value matches the expression, which has been checked."""
    if len(value) > LONGEST_REMEMBERED:
        return _fresh(pattern, value)
    return _remembered(pattern, value)


def _fresh(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(_utf8(value)) is not None


_remembered = lru_cache(maxsize=1 << 14)(_fresh)


@lru_cache(maxsize=1 << 12)
def _compiled(pattern: str) -> _Expression:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_MEMORY
    expression: _Expression = re2.compile(pattern.encode(), options)
    return expression


def _utf8(value: str) -> bytes:
    """Half a surrogate pair becomes U+FFFD: so Go reads it from JSON, and so Alertmanager would have sent it."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", value).encode()
