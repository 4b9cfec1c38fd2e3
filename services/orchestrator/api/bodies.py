"""What requests carry. Unknown keys are errors: a misspelt `pin` must not be a silent guess."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from schemas.incidents import MAX_SERVICE, MAX_SERVICES, MAX_TEXT, MAX_TITLE
from schemas.vocabulary import PublicState, Severity
from services.orchestrator.domain.alerts.labels import one_line
from services.runtime.durations import Duration, parse_duration

MAX_SPLIT = 1000
"""Alerts that can be split out at once."""

_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and line feed: nobody means them, and a terminal would obey them."""


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("expected text without NUL characters")
    return text


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", _storable(text))


def _single(text: str) -> str:
    line = one_line(text, MAX_TEXT)
    if not line:
        raise ValueError("expected text that can be read")
    return line


def _severity(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT), AfterValidator(_clean)]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE),
    AfterValidator(_clean),
    AfterValidator(_single),
]
Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SERVICE),
    AfterValidator(_clean),
    AfterValidator(_single),
]
Matcher = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_storable)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
Rule = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Fingerprint = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_clean)]
AnySeverity = Annotated[Severity, BeforeValidator(_severity)]
NextIn = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0), le=timedelta(days=7))]


class Body(BaseModel):
    """Any request's body."""

    model_config = ConfigDict(extra="forbid")


class Declare(Body):
    """An incident begun by hand."""

    title: Title
    severity: AnySeverity
    services: list[Word] = Field(default_factory=list, max_length=MAX_SERVICES)
    reason: Text = "declared by hand"
    drill: bool = False


class Reason(Body):
    """A step, and why."""

    reason: Text


class SeverityBody(Reason):
    """A judgement of the impact; `pin` keeps rules from raising it."""

    severity: AnySeverity
    pin: bool = True


class MergeBody(Reason):
    """The incident that it is the same trouble as."""

    into: Word


class SplitBody(Reason):
    """Alerts (by their fingerprints) that are another trouble; without a title or severity the alerts give them."""

    alerts: list[Fingerprint] = Field(min_length=1, max_length=MAX_SPLIT)
    title: Title | None = None
    severity: AnySeverity | None = None


class PublicStateBody(Reason):
    """What the public is told."""

    state: PublicState


class MaintenanceBody(Reason):
    """Planned work. It begins at `starts` (now without one) by the clocks of `zone` and lasts for `duration` or until `ends`."""

    name: Title
    match: list[Matcher] = Field(min_length=1, max_length=50)
    starts: Short | None = None
    duration: Duration | None = None
    ends: Short | None = None
    zone: Short = "UTC"
    rrule: Rule | None = None


class OverrideBody(Reason):
    """Somebody stands in from `starts` (now without one) until `ends`, or `for` so long, by the clocks of the rotation's zone."""

    person: Short
    starts: Short | None = None
    ends: Short | None = None
    lasts: Duration | None = Field(default=None, alias="for")
    rotation: Short | None = None


class SwapBody(Reason):
    """Two people change shifts: those at these moments, or without one the next of each."""

    person: Short
    other: Short = Field(alias="with")
    at: Short | None = None
    other_at: Short | None = Field(default=None, alias="with_at")
    rotation: Short | None = None


class UpdateBody(Body):
    """Something to say to people; `next_in` (like `30m`) promises when they hear more."""

    text: Text
    next_in: NextIn | None = None


class NoteBody(Body):
    """A line for the timeline."""

    text: Text
