"""What is said of a text that holds no matchers.

MatcherError
└── BadExpression          the text is a matcher, but its regular expression is none
"""

LONGEST_QUOTE = 120
"""Characters of a text that are repeated in a message about it."""


class MatcherError(ValueError):
    """The text cannot be read as matchers.

    `offset` is the character (0 is the first) at which it goes wrong, `index` the number of the text where several were given.
    """

    def __init__(self, sentence: str, offset: int = 0, index: int = 0) -> None:
        super().__init__(sentence)
        self.offset = offset
        self.index = index

    def at(self, offset: int | None = None, index: int | None = None) -> "MatcherError":
        """The same fault, found in a longer text or in one of several."""
        return type(self)(str(self), self.offset if offset is None else offset, self.index if index is None else index)


class BadExpression(MatcherError):
    """The text is a matcher whose value is no regular expression of RE2."""


def shown(text: str) -> str:
    """The text as a message repeats it: in backquotes and visible."""
    return f"`{visible(text)}`"


def visible(text: str) -> str:
    """The text on one line, without anything a terminal would obey; a long one is cut."""
    line = "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[:LONGEST_QUOTE]])
    return f"{line}…" if len(text) > LONGEST_QUOTE else line


def refuse_broken(text: str) -> None:
    """Half a surrogate pair is no character: no file and no other program could hold what is refused here."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MatcherError("half a surrogate pair stands where a character was expected", error.start) from None
