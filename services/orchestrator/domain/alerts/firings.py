"""Firings: what a stream of alert messages says about one alert, whatever their order and however often they come.

Per fingerprint at most one firing is open. Messages carry no sequence and no send time, so only `startsAt` and `endsAt`
tell what is newer: a resolve ends a firing unless the alert is known to have started after it; a firing that started
before the last known end is old news. Absence of an alert in a payload never means anything.

What Alertmanager lists is judged in `reconcile`. An end that was only presumed there gives way to what is heard later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from schemas.vocabulary import Action, AlertStatus, FiringState, Severity


class Message(Protocol):
    """What somebody says about an alert: `schemas.alerts.AlertReceived`, as far as decisions look at it."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> AlertStatus: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...
    @property
    def generator_url(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime | None: ...
    @property
    def received_at(self) -> datetime: ...


@dataclass(frozen=True)
class Decision:
    """What was decided about a firing, once. `seq` is gapless over all decisions; `facts` are what was looked at."""

    seq: int
    action: Action
    incident: str | None
    severity: Severity | None
    rule: str
    policy: str
    at: datetime
    reason: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Firing:
    """One episode of an alert. `newest_start` is the latest start that any message named, `not_before` the end of the
    firing before this one; both keep late messages from being taken for news.

    `incident` is what it belongs to now and `severity` what it counts as there; what was decided when it began stands in
    `decision`. `begins` are the moments at which the alert lately began, this time included. `recheck_at`: when time alone may
    change what becomes of it. `closed_at` and `closed_before` are when its end was heard of, by the clock and by the number of
    the next decision. `expires_at` is when Alertmanager, as it last said, would end it by itself; `muted_by` tells in words what
    mutes it.
    """

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str
    starts_at: datetime
    newest_start: datetime
    last_seen: datetime
    received_at: datetime
    not_before: datetime | None = None
    ends_at: datetime | None = None
    state: FiringState = FiringState.FIRING
    severity: Severity | None = None
    key: str = ""
    incident: str | None = None
    begins: tuple[datetime, ...] = ()
    recheck_at: datetime | None = None
    closed_at: datetime | None = None
    closed_before: int | None = None
    expires_at: datetime | None = None
    muted_by: str | None = None
    decision: Decision | None = field(default=None, compare=False)

    def but(self, **changes: Any) -> "Firing":
        """The firing with these fields changed: `dataclasses.replace`, whose way through all fields takes ten times as long."""
        twin = object.__new__(Firing)
        twin.__dict__.update(self.__dict__, **changes)
        return twin

    @property
    def gating(self) -> bool:
        """Whether an incident with this firing linked cannot be over while it fires."""
        return self.severity is not None and self.severity.critical

    @property
    def presumed_over(self) -> bool:
        """Nobody said that it is over: Alertmanager no longer lists it, and `expires_at` has passed."""
        return self.state is FiringState.RESOLVED and self.expires_at is not None

    @property
    def name(self) -> str:
        return self.labels.get("alertname") or self.fingerprint


class News(StrEnum):
    """What a message turned out to be."""

    BEGAN = "began"
    ENDED = "ended"
    ENDED_UNSEEN = "ended_unseen"
    REPEATED = "repeated"
    REVIVED = "revived"
    OLD = "old"


def observe(latest: Firing | None, alert: Message) -> tuple[News, Firing]:
    """What the message says, given the latest firing known of its fingerprint; the firing it leads to or belongs to."""
    if latest is None:
        return _first_seen(alert, None)
    if latest.ends_at is None:
        return _while_open(latest, alert)
    if alert.starts_at > latest.ends_at:
        return _first_seen(alert, latest.ends_at)
    if _contradicts(latest, alert):
        return _after_all(latest, alert)
    return _of_the_past(latest, alert)


def given_up(latest: Firing, alert: Message) -> Firing | None:
    """The stale firing as over, when the alert is known to have begun anew since it was last heard of."""
    if latest.state is not FiringState.STALE:
        return None
    heard = max(latest.last_seen, latest.newest_start)
    return latest.but(state=FiringState.RESOLVED, ends_at=heard, expires_at=None) if alert.starts_at > heard else None


def _contradicts(latest: Firing, alert: Message) -> bool:
    """Whether it fires, heard after its end was presumed: it was never over, or began again unheard of."""
    if not latest.presumed_over or alert.status is not AlertStatus.FIRING:
        return False
    known = latest.not_before is None or alert.starts_at > latest.not_before
    return known and latest.ends_at is not None and alert.received_at > latest.ends_at


def _after_all(latest: Firing, alert: Message) -> tuple[News, Firing]:
    """It fires although its end was presumed. What lies before that end stays with the firing that it ended."""
    news, firing = _first_seen(alert, latest.not_before)
    end = latest.ends_at or alert.starts_at
    return news, firing.but(starts_at=max(alert.starts_at, end + datetime.resolution))


def _first_seen(alert: Message, not_before: datetime | None) -> tuple[News, Firing]:
    firing = _UNKNOWN.but(
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        annotations=alert.annotations,
        generator_url=alert.generator_url,
        starts_at=alert.starts_at,
        newest_start=alert.starts_at,
        last_seen=alert.received_at,
        received_at=alert.received_at,
        not_before=not_before,
    )
    if alert.status is AlertStatus.FIRING:
        return News.BEGAN, firing
    return News.ENDED_UNSEEN, _ended(firing, alert)


_NEVER = datetime.min.replace(tzinfo=UTC)
_UNKNOWN = Firing("", {}, {}, "", _NEVER, _NEVER, _NEVER, _NEVER)
"""What firings are made from: a frozen value with so many fields takes several times as long to make as to copy."""


def _while_open(latest: Firing, alert: Message) -> tuple[News, Firing]:
    seen = max(latest.last_seen, alert.received_at)
    if alert.status is AlertStatus.FIRING:
        if latest.not_before is not None and alert.starts_at <= latest.not_before:
            return News.OLD, latest
        earliest, newest = min(latest.starts_at, alert.starts_at), max(latest.newest_start, alert.starts_at)
        again = latest.but(last_seen=seen, starts_at=earliest, newest_start=newest)
        if latest.state is FiringState.STALE and alert.received_at > latest.last_seen:
            return News.REVIVED, again.but(state=FiringState.FIRING)
        return News.REPEATED, again
    if _end_of(alert) < latest.newest_start:
        return News.OLD, latest
    return News.ENDED, _ended(latest, alert, last_seen=seen)


def _of_the_past(latest: Firing, alert: Message) -> tuple[News, Firing]:
    """The firing is over already; it may turn out to have begun earlier or ended later than was known."""
    grown = latest.but(starts_at=min(latest.starts_at, alert.starts_at))
    if alert.status is AlertStatus.RESOLVED and latest.presumed_over and _end_of(alert) >= latest.newest_start:
        grown = _ended(grown, alert)
    elif alert.status is AlertStatus.RESOLVED:
        grown = grown.but(ends_at=max(latest.ends_at or alert.starts_at, _end_of(alert)))
    return News.OLD, grown


def _ended(firing: Firing, alert: Message, **changes: datetime) -> Firing:
    return firing.but(ends_at=_end_of(alert), state=FiringState.RESOLVED, expires_at=None, muted_by=None, **changes)


def _end_of(alert: Message) -> datetime:
    return alert.ends_at or max(alert.starts_at, alert.received_at)
