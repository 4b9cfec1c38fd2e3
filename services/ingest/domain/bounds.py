"""How much of an alert is let in. What identifies it is whole or refused, what describes it is cut visibly."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from schemas.alerts import MAX_ANNOTATION, MAX_LABEL_NAME, MAX_LABEL_VALUE, MAX_LABELS, plausible_start
from schemas.vocabulary import AlertStatus

MAX_ALERTS = 20_000
"""Alerts in one webhook."""
MAX_ANNOTATIONS = 64
MAX_NAME = 2 * 1024
"""Bytes of a receiver's name and of a group's key."""
MAX_LINK = 8 * 1024
"""Bytes of a link; a longer one is left out, since half a link leads nowhere."""

DROPPED = "tocsin_dropped"
"""The annotation that says how many others were left out."""

_MARK = 64
"""Bytes kept free for the mark of a cut."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One place that is wrong, by its JSON pointer; `expected` is empty when the message says it all."""

    pointer: str
    message: str
    expected: str = ""


class Unfit(ValueError):
    """This alert cannot be let in; the pointer of `fault` begins at the alert."""

    def __init__(self, pointer: str, message: str, expected: str) -> None:
        super().__init__(message)
        self.fault = Fault(pointer, message, expected)


def check_labels(labels: dict[str, str]) -> None:
    """Raises `Unfit` unless there are labels, not too many, each small and without NUL (PostgreSQL keeps none)."""
    if not 0 < len(labels) <= MAX_LABELS:
        raise Unfit("/labels", f"{len(labels):,} labels", f"1 to {MAX_LABELS} labels")
    if _small("".join((*labels, *labels.values())), MAX_LABEL_NAME):
        return
    for name, value in labels.items():
        _check_text("name", name, name, MAX_LABEL_NAME)
        _check_text("value", name, value, MAX_LABEL_VALUE)


def _check_text(what: str, name: str, text: str, limit: int) -> None:
    shown = ascii(name[:60])
    if "\0" in text:
        raise Unfit("/labels", f"the {what} of label {shown} contains a NUL", "text without NUL")
    if _over(text, limit):
        size = len(text.encode())
        raise Unfit("/labels", f"the {what} of label {shown} has {size:,} bytes", f"at most {limit:,} bytes")


def bounded_annotations(given: dict[str, str]) -> dict[str, str]:
    """At most `MAX_ANNOTATIONS`, each cut to its limit; those too many, or with too long names, are only counted."""
    if len(given) <= MAX_ANNOTATIONS and _small("".join((*given, *given.values())), MAX_LABEL_NAME):
        return given
    named = {_visible(name): text for name, text in given.items() if not _over(name, MAX_LABEL_NAME)}
    kept = {name: cut(text, MAX_ANNOTATION) for name, text in named.items()}
    if len(given) <= MAX_ANNOTATIONS and len(kept) == len(given):
        return kept
    kept = dict(islice(kept.items(), MAX_ANNOTATIONS - 1))
    return kept | {DROPPED: f"… [dropped by Tocsin: {len(given) - len(kept):,} of {len(given):,} annotations]"}


def cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8 with a mark where something is missing; NUL becomes U+FFFD."""
    if _small(text, limit):
        return text
    text = _visible(text)
    if not _over(text, limit):
        return text
    raw = text.encode()
    kept = raw[: limit - _MARK].decode(errors="ignore")
    return f"{kept}… [cut by Tocsin: {len(raw) - len(kept.encode()):,} of {len(raw):,} bytes]"


def link(text: str) -> str:
    """The link as it came, empty when it is too long."""
    if _small(text, MAX_LINK):
        return text
    return "" if _over(text, MAX_LINK) else _visible(text)


def started(given: datetime, now: datetime) -> datetime:
    """The start in UTC (a time without a zone is UTC); raises `Unfit` when it cannot be."""
    start = _utc(given)
    if start is None or not plausible_start(start, now):
        raise Unfit("/startsAt", f"{given.isoformat()} is not a plausible start", "a time from 1970 to a day from now")
    return start


def ended(status: AlertStatus, start: datetime, given: datetime | None, now: datetime) -> datetime | None:
    """None while the alert fires, whatever `endsAt` says (it is a forecast, or the year 1).

    A resolved alert always ends: at `endsAt` if that lies between the start and now, else now (or at its start, when
    that is still to come). An end in the future must not stand: every firing until then would be taken for old news.
    """
    if status is AlertStatus.FIRING:
        return None
    end = _utc(given) if given else None
    return end if end is not None and start <= end <= now else max(start, now)


def _utc(moment: datetime) -> datetime | None:
    """The same moment in UTC; None when it falls off the calendar there (year 1 or 9999 with an offset)."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def _small(text: str, limit: int) -> bool:
    """Certainly within `limit` bytes and free of NUL; spares nearly every alert the careful look."""
    return len(text) * 4 <= limit and "\0" not in text


def _over(text: str, limit: int) -> bool:
    """Longer than `limit` bytes of UTF-8."""
    return len(text) * 4 > limit and len(text.encode()) > limit


def _visible(text: str) -> str:
    return text.replace("\0", "\ufffd")
