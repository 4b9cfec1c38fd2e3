"""The words of a matcher's text, one after the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from services.matching.errors import MatcherError, shown
from services.matching.quoting import RESERVED, SPACE, unquote


class Kind(StrEnum):
    """What a word is; the value is how a message calls it."""

    OPEN = "an opening brace"
    CLOSE = "a closing brace"
    COMMA = "a comma"
    OPERATOR = "an operator"
    QUOTED = "a quoted text"
    PLAIN = "a word"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    offset: int

    @property
    def meaning(self) -> str:
        """The name or value it stands for."""
        return unquote(self.text, self.offset) if self.kind is Kind.QUOTED else self.text

    def __str__(self) -> str:
        return "the text ends" if self.kind is Kind.END else f"{shown(self.text)} stands"


_TOKEN = re.compile(
    rf"""
    [{SPACE}]*+
    (?: (?P<OPEN> \{{ )
      | (?P<CLOSE> \}} )
      | (?P<COMMA> , )
      | (?P<OPERATOR> =~ | = | != | !~ )
      | (?P<QUOTED> "(?: [^"\\]++ | \\. )*+" )
      | (?P<PLAIN> [^{re.escape(RESERVED)}]++ )
      | (?P<END> \Z )
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACES = re.compile(f"[{SPACE}]*")


def tokens(text: str) -> Iterator[Token]:
    """All words and at last the end; raises `MatcherError` when it comes to something that is none."""
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            raise _no_token(text, at)
        kind = Kind[found.lastgroup or ""]
        yield Token(kind, found[kind.name], found.start(kind.name))
        if kind is Kind.END:
            return
        at = found.end()


def _no_token(text: str, at: int) -> MatcherError:
    spaces = _SPACES.match(text, at)
    start = spaces.end() if spaces else at
    if text[start] == '"':
        return MatcherError("the quoted text that begins here never ends, expected a closing double quote", start)
    if text[start] == "!":
        return MatcherError("`!` is half an operator, expected `!=` or `!~`", start)
    return MatcherError(f"{shown(text[start])} stands outside of quotes, expected double quotes around what holds it", start)
