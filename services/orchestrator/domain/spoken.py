"""Numbers and spans of time as people say them."""

from datetime import timedelta

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def count(number: int, word: str, plural: str = "") -> str:
    """`1 alert`, `2 alerts`."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def span(time: timedelta) -> str:
    """`5 minutes`: whole units of the largest kind of which there are two, else of the next smaller one."""
    seconds = max(0, int(time.total_seconds()))
    for word, size in _UNITS:
        if seconds >= 2 * size or seconds == size:
            return count(seconds // size, word)
    return count(seconds, "second")


_LETTERS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def written(time: timedelta) -> str:
    """As it is written in the configuration: `1h30m`."""
    left, words = int(time.total_seconds()), ""
    for letter, size in _LETTERS:
        units, left = divmod(left, size)
        words += f"{units}{letter}" if units else ""
    return words or "0s"


def number(value: float, beside: float | None = None) -> str:
    """`0.034`, `12,345`: short, but never looking like `beside` when it is another number."""
    short = _short(value, 3)
    return _short(value, 9) if beside is not None and value != beside and short == _short(beside, 3) else short


def _short(value: float, digits: int) -> str:
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 and digits <= 3 else f"{value:.{digits}g}"
