"""What is said of a window that cannot be."""

from typing import Literal

Field = Literal["starts", "ends", "duration", "zone", "rrule"]

LONGEST_QUOTE = 120
"""Characters of a text that are repeated in a message about it."""


class WindowError(ValueError):
    """`field` is what is wrong with the window; the sentence says what was expected instead."""

    def __init__(self, field: Field, sentence: str) -> None:
        super().__init__(sentence)
        self.field: Field = field


def shown(value: object) -> str:
    """The value as a message repeats it; long ones are cut."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
