"""The sentence that a change is in the timeline. Whatever came from outside stays raw; who shows it renders it safely."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.incidents import (
    MAX_TEXT,
    Absorbed,
    AlertCounts,
    AlertExample,
    AlertsAttached,
    AlertsResolved,
    AlertsRestated,
    Change,
    Dismissed,
    Flapping,
    Incident,
    Merged,
    Mitigated,
    MitigationProposed,
    NoteAdded,
    Opened,
    Promoted,
    ProposalCleared,
    PublicStateChanged,
    Reopened,
    Resolved,
    SeverityChanged,
    SeverityUnpinned,
    SplitOut,
    UpdatePosted,
)


def sentence(change: Change, incident: Incident) -> str:
    """What happened, in one line (an update or a note in its own words)."""
    return _WORDS[type(change)](change, incident)[:MAX_TEXT]


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _names(examples: Sequence[AlertExample]) -> str:
    names = list(dict.fromkeys(example.name for example in examples))
    return ", ".join(names[:3]) + ("" if len(names) <= 3 else " and others")


def _attached(change: AlertsAttached, _: Incident) -> str:
    return f"{_plural(change.count, 'alert')} linked: {_names(change.examples)}"


def _restated(change: AlertsRestated, _: Incident) -> str:
    return f"{_plural(change.count, 'alert')} now {change.after} (was {change.before}): {_names(change.examples)}"


def _alive(counts: AlertCounts) -> str:
    return _plural(counts.firing + counts.muted + counts.stale, "alert")


def _split(change: SplitOut, _: Incident) -> str:
    return f"{_alive(change.alerts)} split out into {change.into}: {_names(change.examples)}"


def _resolved_alerts(change: AlertsResolved, incident: Incident) -> str:
    left = incident.alerts.firing
    return (
        f"{_plural(change.count, 'alert')} over, {left} still firing"
        if left
        else f"{_plural(change.count, 'alert')} over, none firing"
    )


def _severity(change: SeverityChanged, _: Incident) -> str:
    pinned = " (pinned)" if change.pinned else ""
    if change.before is change.after:
        return f"Severity {'pinned at' if change.pinned else 'unpinned at'} {change.after}"
    return f"Severity {change.before} → {change.after}{pinned}"


def _opened(change: Opened, _: Incident) -> str:
    if change.split_from:
        return f"Split from {change.split_from} as {change.severity}: {change.title}"
    return f"Opened as {change.severity}{' in triage' if change.state == 'triage' else ''}: {change.title}"


_WORDS: Mapping[type[Change], Callable[[Any, Incident], str]] = {
    Opened: _opened,
    AlertsAttached: _attached,
    AlertsResolved: _resolved_alerts,
    AlertsRestated: _restated,
    Flapping: lambda change, _: f"Flapping ×{change.times}: {change.alert.name}",
    SeverityChanged: _severity,
    SeverityUnpinned: lambda *_: "Severity unpinned: rules may raise it again",
    PublicStateChanged: lambda change, _: f"Public state {change.before} → {change.after}",
    UpdatePosted: lambda change, _: change.text,
    NoteAdded: lambda change, _: change.text,
    MitigationProposed: lambda *_: "Mitigation proposed: accept it with “mitigate”, or leave it",
    ProposalCleared: lambda *_: "Mitigation proposal withdrawn",
    Mitigated: lambda *_: "Mitigated",
    Resolved: lambda *_: "Resolved",
    Reopened: lambda change, _: f"Reopened (was {change.before})",
    Dismissed: lambda *_: "Dismissed as a false alarm",
    Promoted: lambda *_: "Promoted from triage",
    Merged: lambda change, _: f"Merged into {change.into}",
    Absorbed: lambda change, _: f"{change.source} merged into this, with {_alive(change.alerts)} not over",
    SplitOut: _split,
}
