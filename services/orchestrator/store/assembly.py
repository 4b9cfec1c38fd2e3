"""Rows of firings put together to the log: beginnings, ends and orders in their order, what happened at one moment in one piece.

Ends of firings wait until the decision before which they were heard. A replay reads a million rows: this is written to be fast.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any

from pydantic_core import from_json

from schemas.vocabulary import Action, AlertStatus, Severity
from services.orchestrator.domain.comparing import Decided
from services.orchestrator.domain.evidence import Level
from services.orchestrator.domain.replaying import Heard, Ordered, Told

COLUMNS = (
    "seq", "fingerprint", "labels", "facts", "received_at", "ends_at", "closed_at", "closed_before", "decided_at", "action",
    "decided_incident", "decided_severity", "rule",
)  # fmt: skip
"""Of each firing, as the database stores them."""

_ACTIONS: Mapping[str, Action] = {action.value: action for action in Action}
_SEVERITIES: Mapping[str | None, Severity | None] = {None: None} | {severity.value: severity for severity in Severity}
_FIRING, _RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED
_LAST = 1 << 62


class Assembly:
    """Takes the rows in the order of their numbers, and gives back what is certain not to change any more.

    `orders` are what people did, with the number of the decision before which they did it.
    """

    def __init__(self, orders: Sequence[tuple[int, Ordered]]) -> None:
        self._orders = list(reversed(orders))
        self._ends: list[tuple[int, datetime, int, Told]] = []
        self._labels: dict[str, dict[str, str]] = {}
        self._done: list[Heard | Ordered] = []
        self._batch: Heard | None = None

    def take(self, rows: Sequence[Sequence[Any]]) -> list[Heard | Ordered]:
        """The steps of which all is known after these rows."""
        for row in rows:
            self._take(row)
        done, self._done = self._done, []
        return done

    def rest(self) -> list[Heard | Ordered]:
        """What came after the last decision."""
        self._before(_LAST)
        return [*self._done, *([self._batch] if self._batch is not None else ())]

    def _take(self, row: Sequence[Any]) -> None:
        seq, fingerprint, labels, facts, received, ends, closed, closed_before, at, action, incident, severity, rule = row
        if (self._ends and self._ends[0][0] <= seq) or (self._orders and self._orders[-1][0] <= seq):
            self._before(seq)
        known = self._labels.get(fingerprint)
        if known is None:
            known = self._labels[fingerprint] = from_json(labels)
        looked_at = from_json(facts)
        began = _moment(received)
        started = looked_at.get("starts_at")
        unseen = closed_before is not None and closed_before <= seq
        told = Told(
            fingerprint, _RESOLVED if unseen else _FIRING, known, _moment(started) if started else began,
            _moment(ends) if unseen else None, began,
        )  # fmt: skip
        batch = self._at(_moment(at))
        batch.alerts.append(told)
        batch.decided[seq] = Decided(seq, _ACTIONS[action], incident, _SEVERITIES[severity], rule)
        if slos := looked_at.get("slos"):
            batch.slos.update({name: Level(level) for name, level in slos.items()})
        if closed_before is not None and not unseen:
            heard = _moment(closed)
            over = Told(fingerprint, _RESOLVED, known, told.starts_at, _moment(ends), heard)
            heappush(self._ends, (closed_before, heard, seq, over))

    def _at(self, moment: datetime) -> Heard:
        """The piece of this moment, which is the last one or a new one."""
        batch = self._batch
        if batch is None or batch.at != moment:
            self._close()
            batch = self._batch = Heard(moment)
        return batch

    def _close(self) -> None:
        if self._batch is not None:
            self._done.append(self._batch)
            self._batch = None

    def _before(self, number: int) -> None:
        """Ends and orders before the decision with this number, whichever came first."""
        while True:
            end = self._ends[0][:2] if self._ends and self._ends[0][0] <= number else None
            order = (self._orders[-1][0], self._orders[-1][1].at) if self._orders and self._orders[-1][0] <= number else None
            if end is not None and (order is None or end <= order):
                over = heappop(self._ends)[3]
                self._at(over.received_at).alerts.append(over)
            elif order is not None:
                self._close()
                self._done.append(self._orders.pop()[1])
            else:
                return


def _moment(value: Any) -> datetime:
    """SQLite stores text, PostgreSQL moments."""
    return datetime.fromisoformat(value) if type(value) is str else value.astimezone(UTC)
