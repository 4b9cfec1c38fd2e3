"""What follows a try that failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notifier.domain.trouble import ChannelError, Trouble

FIRST, MOST, SPREAD = 1.0, 300.0, 0.2
"""Seconds before the second try, the most between two tries, and how far (±) waits are spread."""
AUTH_FIRST = 60.0
"""A token is not mended by trying often."""


@dataclass(frozen=True)
class Again:
    """Try again at a moment. With `doubt` the message may be there already: look before it is posted again."""

    at: datetime
    reason: str
    doubt: bool


@dataclass(frozen=True)
class Failed:
    """No further try. With `doubt` the message may be there all the same."""

    reason: str
    doubt: bool


def after(error: ChannelError, *, attempt: int, now: datetime, give_up_at: datetime, dice: float) -> Again | Failed:
    """What to do after the given failed attempt (1 is the first). `dice`, from 0 to 1, spreads the waits.

    A wait that the destination asks for is kept exactly, unless it ends after we would have given up.
    """
    doubt = error.happened is not False
    if not error.retry:
        return Failed(error.reason, doubt)
    at = now + timedelta(seconds=_wait(error, attempt, dice))
    if at > give_up_at:
        return Failed(f"gave up after {attempt} attempts; the last: {error.reason}", doubt)
    return Again(at, error.reason, doubt)


def _wait(error: ChannelError, attempt: int, dice: float) -> float:
    if error.retry_after is not None:
        return max(0.0, error.retry_after)
    first = AUTH_FIRST if error.trouble is Trouble.AUTH_ERROR else FIRST
    plain: float = min(MOST, first * 2.0 ** min(attempt - 1, 32))
    return plain * (1 + SPREAD * (2 * dice - 1))
