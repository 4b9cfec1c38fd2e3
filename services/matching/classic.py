"""The parser of old (Alertmanager's `pkg/labels`): names in ASCII, braces optional, and lenient with what stands in a value."""

import re
from collections.abc import Iterator

from services.matching.errors import MatcherError
from services.matching.matcher import Matcher, Op
from services.matching.quoting import SPACE

_ASCII_SPACE = "\t\n\f\r "
_HEAD = re.compile(rf"[{_ASCII_SPACE}]*+([a-zA-Z_:][a-zA-Z0-9_:]*+)[{_ASCII_SPACE}]*+(=~|=|!=|!~)[{_ASCII_SPACE}]*+")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_PIECE = re.compile(r'\\(?P<escaped>.)|(?P<quote>")|[^\\"]+|\\', re.DOTALL)


def parse_classic(text: str) -> tuple[Matcher, ...]:
    """All matchers of the text; raises `MatcherError`."""
    body = text.removeprefix("{")
    start = len(text) - len(body)
    return tuple([_matcher(part, start + at) for at, part in _parts(body.removesuffix("}"))])


def _parts(body: str) -> Iterator[tuple[int, str]]:
    """What stands between commas, and where it begins. A comma in quotes does not divide, nor does it end an escape."""
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(body):
        if character == "," and not quoted:
            yield start, body[start:at]
            start = at + 1
        elif character == '"':
            quoted, escaped = quoted if escaped else not quoted, False
        elif character == "\\":
            escaped = not escaped
        elif character != ",":
            escaped = False
    last = body[start:].lstrip(SPACE)
    if last:
        yield len(body) - len(last), last.rstrip(SPACE)


def _matcher(part: str, start: int) -> Matcher:
    head = _HEAD.match(part)
    if head is None:
        raise MatcherError("a label name and an operator (=, !=, =~ or !~) were expected", start)
    value = _value(part[head.end() :].rstrip(_ASCII_SPACE), start + head.end())
    try:
        return Matcher(head[1], Op(head[2]), value)
    except MatcherError as error:
        raise error.at(start + head.end()) from None


def _value(raw: str, offset: int) -> str:
    """Only `\\n`, `\\"` and `\\\\` are escapes; any other backslash stands for itself."""
    quoted = raw.startswith('"')
    inner = raw[1:] if quoted else raw
    closed = not quoted
    value: list[str] = []
    for piece in _PIECE.finditer(inner):
        if piece["quote"]:
            if closed or piece.end() < len(inner):
                raise MatcherError('`"` stands inside a value, expected `\\"`', offset)
            closed = True
        else:
            value.append(_ESCAPES.get(piece["escaped"] or "", piece[0]))
    if not closed:
        raise MatcherError("the value never ends, expected a closing double quote", offset)
    return "".join(value)
