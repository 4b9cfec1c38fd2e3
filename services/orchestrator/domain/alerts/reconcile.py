"""Why it went quiet: open firings held against what Alertmanager lists now.

A webhook tells what changed; it may be lost, and nobody ever says that an alert was silenced. Alertmanager's list tells
what is: it holds every alert that is not over. What it lists fires or is muted. What it does not list is over only
when the end that it had announced has passed; else it is stale, which holds an incident open as firing does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from schemas.vocabulary import FiringState, Severity
from services.orchestrator.domain import spoken

SETTLED = timedelta(minutes=5)
"""So long after its start an Alertmanager may not have been told again of everything that fires: it forgets all alerts
when it ends, and those who send them repeat themselves every few minutes only."""

RECONCILED, UNHEARD = "reconcile", "stale-after"
"""The rules: what Alertmanager lists, and what was not heard of for too long."""


@dataclass(frozen=True)
class OpenFiring:
    """As much of a firing that is not over as is needed here; `ends_at` is set when it turns out to be over."""

    seq: int
    fingerprint: str
    name: str
    instance: str | None
    severity: Severity | None
    incident: str | None
    state: FiringState
    newest_start: datetime
    last_seen: datetime
    expires_at: datetime | None = None
    muted_by: str | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """What Alertmanager says of one alert: firing, or muted `by` something in words; by itself it would end at `ends_at`."""

    state: FiringState
    ends_at: datetime | None = None
    by: str | None = None


@dataclass(frozen=True)
class Answer:
    """What all Alertmanagers together said when asked at `at`, by fingerprint.

    Only in a `complete` answer, to which every one of them contributed, does absence mean anything. `up_since` is when
    the one started that started last, None when that is not known.
    """

    at: datetime
    complete: bool
    alerts: Mapping[str, Seen]
    up_since: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether each of them has run for long enough to know everything that fires."""
        return self.up_since is not None and self.at - self.up_since >= SETTLED


@dataclass(frozen=True)
class Reply:
    """What came of asking: the answer, and in words what went wrong with whom, by address."""

    answer: Answer
    troubles: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """The firing as it turns out to be, and its state before. Without a `reason` it is only kept up, which nobody is told."""

    after: OpenFiring
    before: FiringState
    reason: str | None = None
    rule: str = RECONCILED


def reconcile(
    firings: Iterable[OpenFiring], answer: Answer | None, now: datetime, stale_after: timedelta, grace: timedelta
) -> list[Change]:
    """What changes, in the order of the firings' numbers. `answer` is None where no Alertmanager is asked."""
    judged = (_judge(firing, answer, now, stale_after, grace) for firing in sorted(firings, key=lambda firing: firing.seq))
    return [change for change in judged if change is not None]


def _judge(firing: OpenFiring, answer: Answer | None, now: datetime, stale_after: timedelta, grace: timedelta) -> Change | None:
    if answer is None:
        return _unasked(firing, now, stale_after)
    if firing.last_seen >= answer.at:
        return None
    seen = answer.alerts.get(firing.fingerprint)
    if seen is not None:
        return _listed(firing, seen, answer.at, stale_after, grace)
    if answer.complete:
        return _absent(firing, answer, stale_after, grace)
    return _unheard(firing, now, stale_after, "Alertmanager does not answer, and nothing")


def _listed(firing: OpenFiring, seen: Seen, at: datetime, stale_after: timedelta, grace: timedelta) -> Change | None:
    """It fires or is muted. What is kept of it is written anew only when it would soon say too little."""
    after = replace(
        firing, state=seen.state, muted_by=seen.by, expires_at=seen.ends_at, last_seen=max(firing.last_seen, at), ends_at=None
    )
    if firing.state is not seen.state:
        return Change(after, firing.state, seen.by or "Alertmanager lists them as firing.")
    soon = firing.expires_at is None or firing.expires_at <= at + grace / 2
    if (soon and firing.expires_at != seen.ends_at) or firing.muted_by != seen.by or at - firing.last_seen >= stale_after / 2:
        return Change(after, firing.state)
    return None


def _absent(firing: OpenFiring, answer: Answer, stale_after: timedelta, grace: timedelta) -> Change | None:
    end = _announced_end(firing, answer.at, stale_after)
    if end is None:
        if firing.state is FiringState.STALE or answer.at - firing.last_seen <= grace:
            return None
        reason = "Alertmanager does not list them and never said when they end: they may be over, but nobody said so."
        return Change(_stale(firing), firing.state, reason)
    if end > answer.at or not answer.settled:
        return None
    over = replace(firing, state=FiringState.RESOLVED, ends_at=max(end, firing.newest_start), muted_by=None)
    return Change(over, firing.state, "Alertmanager no longer lists them, and the end that it had announced has passed.")


def _announced_end(firing: OpenFiring, at: datetime, stale_after: timedelta) -> datetime | None:
    """When it would be over by itself. An end before it was last heard of has been put off since; one further away than
    `stale_after` is of no use to anybody who waits for it."""
    end = firing.expires_at
    return end if end is not None and firing.last_seen < end <= at + stale_after else None


def _unasked(firing: OpenFiring, now: datetime, stale_after: timedelta) -> Change | None:
    stale = _unheard(firing, now, stale_after, "Nothing")
    if stale is not None or firing.state is not FiringState.MUTED:
        return stale
    after = replace(firing, state=FiringState.FIRING, muted_by=None)
    return Change(after, firing.state, "No Alertmanager is asked any more, so nobody can say that they are still muted.")


def _unheard(firing: OpenFiring, now: datetime, stale_after: timedelta, subject: str) -> Change | None:
    if firing.state is FiringState.STALE or now - firing.last_seen <= stale_after:
        return None
    reason = f"{subject} has been heard of them for {spoken.span(stale_after)}: they may be over, but nobody said so."
    return Change(_stale(firing), firing.state, reason, UNHEARD)


def _stale(firing: OpenFiring) -> OpenFiring:
    return replace(firing, state=FiringState.STALE, muted_by=None)
