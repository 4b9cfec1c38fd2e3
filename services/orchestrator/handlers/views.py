"""What can be asked: reads that answer in the API's shapes."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.incidents import Incident
from services.orchestrator.domain.firings import Firing
from services.orchestrator.domain.ledger import Turn
from services.orchestrator.store import firings, incidents, notices, turns
from services.runtime.db import Database


class Views:
    """Reads over the orchestrator's own tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def incident(self, name: str) -> Incident | None:
        async with self._database.read() as connection:
            return await incidents.get(connection, name)

    async def incidents(
        self, *, only_open: bool, state: str | None, severity: str | None, before: int | None, limit: int
    ) -> list[Incident]:
        async with self._database.read() as connection:
            return await incidents.page(
                connection, only_open=only_open, state=state, severity=severity, before=before, limit=limit
            )

    async def timeline(self, name: str, after: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Lines in the order of time, and whether there are more. Deliveries stand between the events they follow."""
        async with self._database.read() as connection:
            lines = await incidents.timeline(connection, name, after, limit + 1)
            beside = await notices.of(connection, name)
        more = len(lines) > limit
        begin = lines[0]["recorded_at"] if lines and after else None
        end = lines[limit]["recorded_at"] if more else None
        kept = [n for n in beside if (begin is None or n["recorded_at"] >= begin) and (end is None or n["recorded_at"] < end)]
        return sorted(lines[:limit] + kept, key=lambda line: line["recorded_at"]), more

    async def alerts(self, *, incident: str | None, state: str | None, before: int | None, limit: int) -> list[dict[str, Any]]:
        async with self._database.read() as connection:
            page = await firings.page(connection, incident=incident, state=state, before=before, limit=limit)
        return [_alert(firing) for firing in page]

    async def explain(self, fingerprint: str) -> dict[str, Any] | None:
        """Every firing of an alert with its decision, newest first; None until something was decided about it."""
        async with self._database.read() as connection:
            history = await firings.history(connection, fingerprint)
            later = await turns.of(connection, [firing.decision.seq for firing in history if firing.decision])
        if not history:
            return None
        return {
            "fingerprint": fingerprint,
            "labels": dict(history[0].labels),
            "firings": [_firing(firing) | {"decision": _decision(firing), "later": _later(firing, later)} for firing in history],
        }


def _firing(firing: Firing) -> dict[str, Any]:
    return {
        "starts_at": firing.starts_at,
        "ends_at": firing.ends_at,
        "last_seen": firing.last_seen,
        "state": firing.state,
        "muted_by": firing.muted_by,
    }


def _later(firing: Firing, later: Mapping[int, Sequence[Turn]]) -> list[dict[str, Any]]:
    """What became of it since, oldest first."""
    happened = later.get(firing.decision.seq, ()) if firing.decision else ()
    return [{"at": turn.at, "event": turn.event, "incident": turn.incident, "reason": turn.reason} for turn in happened]


def _decision(firing: Firing) -> dict[str, Any]:
    decision = firing.decision
    assert decision is not None
    return {
        "seq": decision.seq,
        "action": decision.action,
        "incident": decision.incident,
        "severity": decision.severity,
        "rule": decision.rule,
        "policy": decision.policy,
        "at": decision.at,
        "reason": decision.reason,
        "facts": dict(decision.facts),
    }


def _alert(firing: Firing) -> dict[str, Any]:
    known = {
        "fingerprint": firing.fingerprint,
        "name": firing.name,
        "severity": firing.severity,
        "labels": dict(firing.labels),
        "annotations": dict(firing.annotations),
        "generator_url": firing.generator_url,
    }
    return known | _firing(firing) | {"decision": _decision(firing)}
