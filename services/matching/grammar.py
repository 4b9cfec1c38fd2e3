"""The parser of today, for names and values in UTF-8 (Alertmanager's `matcher/parse`)."""

from services.matching.errors import MatcherError
from services.matching.matcher import Matcher, Op
from services.matching.tokens import Kind, Token, tokens


class _Reader:
    """The tokens, with a look at the next one."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._next = next(self._tokens)

    def sees(self, *kinds: Kind) -> bool:
        return self._next.kind in kinds

    def take(self, *kinds: Kind, wanted: str) -> Token:
        token = self._next
        if token.kind not in kinds:
            raise MatcherError(f"{token} where {wanted} was expected", token.offset)
        self._next = next(self._tokens, token)
        return token

    def skip(self, kind: Kind) -> bool:
        """Takes the next token if it is one of this kind."""
        return self.sees(kind) and bool(self.take(kind, wanted=kind))


def parse_utf8(text: str) -> tuple[Matcher, ...]:
    """All matchers of `{foo="bar", baz=~"x.*",}`; the braces and the last comma may be missing."""
    reader = _Reader(text)
    braced = reader.skip(Kind.OPEN)
    matchers: list[Matcher] = []
    while not reader.sees(Kind.CLOSE, Kind.END):
        matchers.append(_matcher(reader))
        if not reader.skip(Kind.COMMA):
            break
    if braced:
        reader.take(Kind.CLOSE, wanted="a comma or a closing brace" if matchers else "a closing brace")
    reader.take(Kind.END, wanted="the end" if braced else "a comma or the end")
    return tuple(matchers)


def _matcher(reader: _Reader) -> Matcher:
    name = reader.take(Kind.QUOTED, Kind.PLAIN, wanted="a label name").meaning
    operator = reader.take(Kind.OPERATOR, wanted="an operator (=, !=, =~ or !~)")
    value = reader.take(Kind.QUOTED, Kind.PLAIN, wanted="a value")
    meaning = value.meaning
    try:
        return Matcher(name, Op(operator.text), meaning)
    except MatcherError as error:
        raise error.at(value.offset) from None
