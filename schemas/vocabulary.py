"""The words every service uses. The severities and states are those of the incident process in docs/process.md."""

from collections.abc import Iterable
from enum import StrEnum


class Severity(StrEnum):
    """How bad the impact is. S1 is the worst."""

    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"

    @property
    def critical(self) -> bool:
        """S1 and S2 page, open incidents by themselves and gate a mitigation proposal."""
        return self in {Severity.S1, Severity.S2}

    def outranks(self, other: "Severity | None") -> bool:
        """True when this one is worse than `other`; anything is worse than none."""
        return other is None or self.value < other.value


def worst(severities: Iterable["Severity | None"]) -> Severity | None:
    """The worst of the known ones; None when there is none."""
    return min((s for s in severities if s is not None), key=lambda s: s.value, default=None)


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    TRIAGE = "triage"
    ACTIVE = "active"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"
    DISMISSED = "dismissed"
    MERGED = "merged"

    @property
    def open(self) -> bool:
        """Open incidents draw in the alerts of their correlation key; at most one is open per key."""
        return self in {IncidentState.TRIAGE, IncidentState.ACTIVE, IncidentState.MITIGATED}


class PublicState(StrEnum):
    """What the public is told; independent of the incident's own state."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Role(StrEnum):
    """Engineer, incident manager and communications manager on call."""

    EOC = "eoc"
    IMOC = "imoc"
    CMOC = "cmoc"


class AlertStatus(StrEnum):
    """What Alertmanager says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class FiringState(StrEnum):
    """What Tocsin knows of one firing (one episode of an alert)."""

    FIRING = "firing"
    RESOLVED = "resolved"
    MUTED = "muted"
    STALE = "stale"


class Action(StrEnum):
    """What was decided about a firing."""

    OPEN = "open"
    ATTACH = "attach"
    TRIAGE = "triage"
    RECORD = "record"
    IGNORE = "ignore"


class ActorKind(StrEnum):
    """Who did it."""

    PERSON = "person"
    RULE = "rule"
    TIMER = "timer"
    SYSTEM = "system"
