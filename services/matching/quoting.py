"""Names and values between double quotes, and which need them."""

import re

from services.matching.errors import MatcherError, shown

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What Go takes for white space; Python takes more."""

RESERVED = SPACE + "{}!=~,\\\"'`"
"""What a name or a value without quotes cannot hold."""

_RESERVED = re.compile(f"[{re.escape(RESERVED)}]")
_WRITTEN = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_PIECE = re.compile(
    r"""
      (?P<plain> [^\\\n]+ )
    | \\ (?P<letter> [abfnrtv\\"] )
    | \\ (?: x (?P<hex> [0-9a-fA-F]{2} ) | (?P<octal> [0-3][0-7]{2} ) )
    | \\ (?: u (?P<short> [0-9a-fA-F]{4} ) | U (?P<long> [0-9a-fA-F]{8} ) )
    """,
    re.VERBOSE,
)
_LETTERS = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


def needs_quotes(name: str) -> bool:
    """Whether a name would be read as something else without them."""
    return not name or _RESERVED.search(name) is not None


def quote(text: str) -> str:
    """Escaped as in OpenMetrics, the only way that all parsers of Alertmanager read alike."""
    return f'"{text.translate(_WRITTEN)}"'


def unquote(quoted: str, offset: int) -> str:
    """What stands between the quotes, with the escapes of Go. `offset` is where the opening quote stands, for errors."""
    inner = quoted[1:-1]
    raw, at = bytearray(), 0
    while at < len(inner):
        piece = _PIECE.match(inner, at)
        if piece is None:
            raise MatcherError(_complaint(inner, at), offset + 1 + at)
        raw += _bytes(piece, offset + 1 + at)
        at = piece.end()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MatcherError(
            f"the escapes in {shown(quoted)} make bytes that are not the UTF-8 that was expected", offset
        ) from None


def _bytes(piece: re.Match[str], offset: int) -> bytes:
    kind = piece.lastgroup or ""
    text = piece[kind]
    if kind == "plain":
        return text.encode()
    if kind == "letter":
        return _LETTERS[text].encode()
    if kind in ("hex", "octal"):
        return bytes([int(text, 16 if kind == "hex" else 8)])
    return _character(int(text, 16), piece[0], offset)


def _character(code: int, escape: str, offset: int) -> bytes:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise MatcherError(f"{shown(escape)} is not the number of a character, which was expected", offset)
    return chr(code).encode()


def _complaint(inner: str, at: int) -> str:
    if inner[at] == "\n":
        return r"a line ends inside the quotes, expected `\n` there"
    return rf"{shown(inner[at : at + 2])} is not an escape, expected `\\` for a backslash"
