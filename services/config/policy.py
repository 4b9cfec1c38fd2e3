"""What an alert means, what follows from it, and when: the sections that decide."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.vocabulary import Action, Severity
from services.config.matching import Match, Matched
from services.config.values import Delay, Flag, Name, Several, Span
from services.runtime.durations import parse_duration
from services.runtime.yamlfile import Section

DEFAULT_MAP = {"critical": Severity.S1, "error": Severity.S3, "warning": Severity.S4, "warn": Severity.S4, "info": Severity.S4}

RESERVED = frozenset(
    {
        "over-before-seen", "refire", "attach-same-key", "open-s1-s2", "unknown-severity", "record-s3-s4",
        "alert-severity-floor", "rate-guard", "dependency", "maintenance", "combine-s3-s4", "triage-promotion",
        "alert-resolved", "reconcile", "stale-after", "heard-again", "flapping", "time-passed",
    }
)  # fmt: skip
"""What Tocsin's own rules are called in decisions and timelines."""


def _free(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} is the name of a rule of Tocsin's own; expected another one")
    return name


RuleName = Annotated[Name, AfterValidator(_free), Field(json_schema_extra={"not": {"enum": [*sorted(RESERVED)]}})]


class Breadth(Section):
    """Holds while many different values of a label fire at about the same time."""

    of: Name = "service"
    """The label whose values are counted; `service` and `env` fall back as under `correlation`."""
    at_least: Several
    """How many different values it takes; 2 to 100."""
    within: Span = parse_duration("10m")
    """How far apart they may have begun; 1s to 30d."""


class SeverityRule(Matched):
    """Raises an incident to `severity` when its alerts match. Without `breadth` and `persists` it holds at once."""

    name: RuleName
    """How decisions and timelines call it; each name once."""
    match: Match = Field(default_factory=list)
    """Which of the incident's alerts count; all of them without any matcher."""
    severity: Severity
    """What the incident becomes at least."""
    breadth: Breadth | None = None
    """Only when the alerts that match are spread that wide."""
    persists: Span | None = None
    """Only when it has been so for that long; 1s to 30d."""


class Combine(Section):
    """Many small incidents of one service that are together a big one."""

    at_least: Several
    """How many S3 and S4 of the service it takes; 2 to 100."""
    within: Span = parse_duration("24h")
    """How far to look back; 1s to 30d."""


class History(Section):
    """What earlier incidents of the same service do to the severity of the next one. All of it is off unless it is set."""

    repeat_within: Span | None = None
    """An S2 or S3 that follows a closed S2 or S3 within this time is opened as S2; usually 3h."""
    stable_period: Delay = parse_duration("0s")
    """An S1 or S2 counts as closed only when it has been quiet for so long; usually 30m."""
    combine: Combine | None = None
    """So many S3 and S4 become one S2."""


class SeveritySection(Section):
    """Which label tells an alert's severity and what its words mean; `s1` … `s4` (any case) are always known."""

    label: Name = "severity"
    """The label that tells an alert's severity."""
    map: dict[str, Severity] = Field(default_factory=lambda: dict(DEFAULT_MAP))
    """What its words mean. Giving a map replaces the default one."""
    floor: Flag = True
    """An incident is at least as severe as the worst alert that was ever linked to it."""
    rules: list[SeverityRule] = Field(default_factory=list)
    """What else raises an incident. All that hold count, and the worst wins."""
    history: History = History()
    """What earlier incidents of the same service do."""


class CorrelationRule(Matched):
    """Other labels for some alerts."""

    name: RuleName
    """How decisions and timelines call it; each name once."""
    by: list[Name] = Field(min_length=1, max_length=10)
    """The labels in which they must agree."""


class CorrelationSection(Section):
    """Alerts that agree in these labels belong to one incident.

    `service` falls back to `job`, then `alertname`; `env` falls back to `environment`, then `cluster`.
    """

    by: list[Name] = Field(default_factory=lambda: ["service", "env"], min_length=1, max_length=10)
    """The labels for every alert that no rule is for."""
    rules: list[CorrelationRule] = Field(default_factory=list)
    """Other labels for some alerts. The first that matches decides."""


class Rule(Matched):
    """What to do with a firing. The first rule that matches decides; where none does, S1 and S2 open an incident."""

    name: RuleName
    """How decisions and timelines call it; each name once."""
    severity: list[Literal["S1", "S2", "S3", "S4", "unknown"]] | None = Field(default=None, min_length=1)
    """Only alerts of these severities; `unknown` are those whose word is not known."""
    action: Action
    """`ignore`: nothing. `record`: only recorded. `attach`: joins an open incident, else recorded. `triage`: opens an incident
    in triage. `open`: opens one."""


class Promote(Section):
    """What turns an incident in triage into an active one by itself. Any one of these is enough."""

    severity: Severity | None = Severity.S2
    """It became at least so severe."""
    breadth: Breadth | None = None
    """Its alerts are spread that wide."""
    persists: Span | None = None
    """Alerts have been firing for that long; 1s to 30d."""


class TriageSection(Section):
    """Incidents that somebody has to look at first."""

    quiet_period: Delay = parse_duration("30m")
    """How long all alerts of an incident in triage must be over before it is dismissed; 0s to 7d."""
    promote: Promote = Promote()
    """What turns one into an active incident by itself."""


class FlappingSection(Section):
    """An alert that comes and goes holds its incident open until it stays away."""

    count: Several = 4
    """So often within that time is flapping; 2 to 100."""
    within: Span = parse_duration("1h")
    """How far to look back; 1s to 30d."""


class GuardSection(Section):
    """More new incidents than this are one disaster: the rest joins the first one."""

    openings: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 10
    """So many incidents may open within that time; 1 to 1000."""
    within: Span = parse_duration("10m")
    """How far to look back; 1s to 30d."""


class TimersSection(Section):
    """How long things may take."""

    quiet_period: Delay = parse_duration("5m")
    """How long all S1/S2 alerts must be over before mitigation is proposed; 0s to 7d."""
    refire_window: Delay = parse_duration("30m")
    """How long a resolved incident is reopened by the same trouble instead of a new one being opened; 0s to 7d."""
    stale_after: Span = parse_duration("8h")
    """A firing that nobody has spoken of for so long is stale: shown as such, never taken for resolved. Twice Alertmanager's
    `repeat_interval` is right; 1s to 30d."""
