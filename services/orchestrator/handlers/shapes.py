"""How firings and decisions look in the API's answers."""

from collections.abc import Sequence
from typing import Any

from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.deciding.ledger import Turn


def firing(known: Firing) -> dict[str, Any]:
    return {
        "starts_at": known.starts_at,
        "ends_at": known.ends_at,
        "last_seen": known.last_seen,
        "state": known.state,
        "muted_by": known.muted_by,
    }


def decision(known: Firing) -> dict[str, Any]:
    """What was decided about it, once."""
    made = known.decision
    assert made is not None
    return {
        "seq": made.seq,
        "action": made.action,
        "incident": made.incident,
        "severity": made.severity,
        "rule": made.rule,
        "policy": made.policy,
        "at": made.at,
        "reason": made.reason,
        "facts": dict(made.facts),
    }


def later(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """What became of it since, in the order of the turns."""
    return [{"at": turn.at, "event": turn.event, "incident": turn.incident, "reason": turn.reason} for turn in turns]


def alert(known: Firing) -> dict[str, Any]:
    """The alert with its firing and decision."""
    about = {
        "fingerprint": known.fingerprint,
        "name": known.name,
        "severity": known.severity,
        "labels": dict(known.labels),
        "annotations": dict(known.annotations),
        "generator_url": known.generator_url,
    }
    return about | firing(known) | {"decision": decision(known)}
