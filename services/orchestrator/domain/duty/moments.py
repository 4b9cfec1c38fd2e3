"""Moments as people write and read them."""

from datetime import UTC, datetime, tzinfo

from services.windows import moment_of

FIRST_YEAR, LAST_YEAR = 1970, 2199


def read_moment(text: str, zone: tzinfo) -> datetime:
    """The moment of a text like `2026-12-24T20:00`, by the clocks of the zone unless it has an offset; raises ValueError."""
    try:
        moment = datetime.fromisoformat(text.strip()).replace(microsecond=0)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no date and time; expected one like 2026-12-24T20:00") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"{text[:50]!r} is too far away; expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return moment.astimezone(UTC) if moment.tzinfo else moment_of(moment.replace(fold=0), zone)


def minute(moment: datetime) -> str:
    """`2026-12-24 20:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
