"""What a candidate would have done otherwise, in the API's shape."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row

from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.comparing import What, apart
from services.orchestrator.store import shadow_report, shadows
from services.runtime.clock import Clock
from services.runtime.db import Database

VERDICTS = {
    "would_open": "would open",
    "would_not_open": "would not open",
    "would_open_earlier": "would open earlier",
    "would_open_later": "would open later",
    "severity": "would have another severity",
    "triage": "would be in triage, or no longer",
}
"""How the counts of differences are said."""


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
            "incidents": openings,
            "items": items,
            "next": str(items[-1]["seq"]) if len(rows) > limit else None,
        }


def _difference(row: Row[Any]) -> dict[str, Any]:
    labels = row.labels or {}
    was, would_be = _words(row)
    return {
        "seq": row.seq,
        "what": _what(row),
        "at": row.at,
        "alert": labels.get("alertname") or row.fingerprint,
        "labels": labels,
        "incident": row.was,
        "would_be_incident": row.would_be,
        "severity": row.severity or row.was_severity,
        "was": was,
        "would_be": would_be,
        "why": row.why or "",
        "over_at": row.ended_at,
    }


def _what(row: Row[Any]) -> What:
    if row.what == "triage":
        return What.QUIETER if row.quiet else What.LOUDER
    return _WHAT[row.what]


_WHAT = {
    "would_open": What.OPENS,
    "would_not_open": What.OPENS_NOT,
    "would_open_earlier": What.OPENS_EARLIER,
    "would_open_later": What.OPENS_LATER,
    "severity": What.SEVERITY,
}


def _words(row: Row[Any]) -> tuple[str, str]:
    """How it was and how it would be."""
    was = "nothing" if row.was is None else _rated(row.was_severity, row.was_quiet)
    if row.would_be is None:
        return was, f"joins {row.counterpart}" if row.counterpart else "nothing"
    when = f", {apart(row.was_at, row.at)}" if row.was_at else ""
    return was, _rated(row.severity, row.quiet) + when


def _rated(severity: str | None, quiet: bool | None) -> str:
    return f"{severity or 'opened'}{' in triage' if quiet else ''}"
