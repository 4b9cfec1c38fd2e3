"""What a candidate would have done otherwise, in the API's shape."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row

from services.orchestrator.domain.policy import Policy
from services.orchestrator.store import shadow_report, shadows
from services.runtime.clock import Clock
from services.runtime.db import Database


class Candidate(Protocol):
    """The candidate that is configured: its policy, None until there is one that can be used, and the file's name and state."""

    valid: bool

    def __call__(self) -> Policy | None: ...

    @property
    def name(self) -> str | None: ...


@dataclass(frozen=True)
class ShadowReports:
    """Reports on the candidate that is configured."""

    database: Database
    candidate: Candidate
    policy: Callable[[], Policy]
    clock: Clock

    async def report(self, since: datetime | None, before: int | None, limit: int) -> dict[str, Any] | None:
        """What was compared since a moment, and a page of incidents that differ; None without a candidate."""
        found = self.candidate()
        if self.candidate.name is None:
            return None
        version = found.version if found else ""
        kept = self.clock.now() - shadows.KEPT
        async with self.database.snapshot() as connection:
            course = await shadows.course(connection, version)
            begin = max(since or kept, kept, course.started_at if course else kept)
            counts = await shadow_report.counts(connection, version, begin)
            openings = await shadow_report.openings(connection, version, begin)
            rows = await shadow_report.differences(connection, version, begin, before, limit + 1)
            last = await shadows.last_decision(connection)
        items = [_difference(row) for row in rows[:limit]]
        return {
            "candidate": {"file": self.candidate.name, "policy": version or None, "valid": self.candidate.valid},
            "policy": self.policy().version,
            "since": begin if course else None,
            "until": course.until if course else None,
            "behind": last + 1 - course.position if course else None,
            "decisions": counts.decisions,
            "same": counts.same,
            "moves": [vars(move) for move in counts.moves],
            "incidents": vars(openings),
            "items": items,
            "next": str(items[-1]["seq"]) if len(rows) > limit else None,
        }


def _difference(row: Row[Any]) -> dict[str, Any]:
    what, was, would_be = _words(row)
    labels = row.labels or {}
    return {
        "seq": row.seq,
        "what": what,
        "at": row.at,
        "alert": labels.get("alertname") or row.fingerprint,
        "labels": labels,
        "incident": row.was,
        "would_be_incident": row.would_be,
        "was": was,
        "would_be": would_be,
        "rule": row.rule,
        "why": row.why or "",
        "over_at": row.ended_at,
    }


def _words(row: Row[Any]) -> tuple[str, str, str]:
    """In which way it differs, how it was, and how it would be."""
    would_be = f"{row.severity}{' in triage' if row.quiet else ''}"
    if row.was is None:
        return "would open", "not opened", would_be
    if row.would_be is None:
        return "would not open", f"{row.was_severity or 'opened'}", "nothing opened"
    return "severity", f"{row.was_severity}", would_be
