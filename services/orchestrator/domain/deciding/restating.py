"""What changed states mean for incidents: a few commands with one reason each, however many firings there are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.incidents import MAX_EXAMPLES, MAX_TEXT, AlertExample
from schemas.vocabulary import FiringState
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.alerts.reconcile import Change
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.incident import commands as ask

MOST_REASONS = 5
"""Of one transition at one incident; what more there are is told together."""


@dataclass(frozen=True)
class Telling:
    """A command to an incident, by which rule, and why."""

    incident: str
    command: ask.Detach | ask.Restate
    rule: str
    reason: str


Transition = tuple[str, FiringState | None, FiringState, str]
"""The incident, the states before and after, the rule. What is over is told at once, whatever it was before."""


def incidents_of(changes: Iterable[Change]) -> set[str]:
    """The incidents that are told something."""
    return {change.after.incident for change in changes if change.reason is not None and change.after.incident is not None}


def turns_of(changes: Iterable[Change], now: datetime) -> list[Turn]:
    """What became of the firings, for those who ask about a single alert."""
    return [
        Turn(change.after.seq, now, change.after.state, change.after.incident, one_line(change.reason, MAX_TEXT))
        for change in changes
        if change.reason is not None
    ]


def tell(changes: Iterable[Change]) -> list[Telling]:
    """What each incident is told. What belongs to no incident, or is only kept up, is told to nobody."""
    groups: dict[Transition, dict[str, list[Change]]] = {}
    for change in sorted(changes, key=lambda change: change.after.seq):
        if change.reason is not None and change.after.incident is not None:
            before = None if change.after.state is FiringState.RESOLVED else change.before
            transition = change.after.incident, before, change.after.state, change.rule
            groups.setdefault(transition, {}).setdefault(change.reason, []).append(change)
    return [
        Telling(incident, _command(alike), rule, reason)
        for (incident, _, _, rule), reasons in groups.items()
        for reason, alike in _few(reasons)
    ]


def _few(reasons: dict[str, list[Change]]) -> Iterator[tuple[str, list[Change]]]:
    """At most so many reasons, those that hold for most firings first; the last one then stands for all that are left."""
    ordered = sorted(reasons.items(), key=lambda item: -len(item[1]))
    if len(ordered) <= MOST_REASONS:
        yield from ordered
        return
    yield from ordered[: MOST_REASONS - 1]
    (reason, _), *others = ordered[MOST_REASONS - 1 :]
    alike = [change for _, changes in ordered[MOST_REASONS - 1 :] for change in changes]
    yield f"{reason}; and for {len(others)} other reasons", alike


def _command(changes: Sequence[Change]) -> ask.Detach | ask.Restate:
    first = changes[0]
    gating = sum(change.after.severity is not None and change.after.severity.critical for change in changes)
    if first.after.state is not FiringState.RESOLVED:
        return ask.Restate(first.before, first.after.state, len(changes), _examples(changes), gating)
    before = [change.before for change in changes]
    return ask.Detach(
        count=len(changes),
        gating=gating,
        examples=_examples(changes),
        muted=before.count(FiringState.MUTED),
        stale=before.count(FiringState.STALE),
    )


def _examples(changes: Sequence[Change]) -> tuple[AlertExample, ...]:
    return tuple(
        AlertExample(
            fingerprint=firing.fingerprint,
            name=one_line(firing.name, 100),
            severity=firing.severity,
            instance=one_line(firing.instance or "", 100) or None,
        )
        for firing in (change.after for change in changes[:MAX_EXAMPLES])
    )
