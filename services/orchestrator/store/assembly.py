"""Rows of firings put together to the log: beginnings, ends and orders in their order, what happened at one moment in one piece.

Ends of firings wait until the decision before which they were heard. A replay reads a million rows: this is written to be fast.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any

from pydantic_core import from_json

from schemas.vocabulary import Action, AlertStatus, Severity
from services.orchestrator.domain.evidence.evidence import Level
from services.orchestrator.domain.trying.comparing import Decided
from services.orchestrator.domain.trying.replaying import Heard, Ordered, Told

END = ("seq", "fingerprint", "received_at", "ends_at", "closed_at", "closed_before")
COLUMNS = (*END, "labels", "facts", "decided_at", "action", "decided_incident", "decided_severity", "rule")
"""Of each firing, as the database stores them."""

_ACTIONS: Mapping[str, Action] = {action.value: action for action in Action}
_SEVERITIES: Mapping[str | None, Severity | None] = {None: None} | {severity.value: severity for severity in Severity}
_FIRING, _RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED
_NO_LABELS: Mapping[str, str] = {}
_LAST = 1 << 62


class Assembly:
    """Takes what was recorded, and gives back as steps what is certain not to change any more."""

    def __init__(self) -> None:
        self._orders: deque[tuple[int, Ordered]] = deque()
        self._ends: list[tuple[int, datetime, int, Told]] = []
        self._labels: dict[str, dict[str, str]] = {}
        self._done: list[Heard | Ordered] = []
        self._batch: Heard | None = None

    def expect(self, orders: Iterable[tuple[int, Ordered]]) -> None:
        """What people did after everything that is known so far, with the number of the decision before which they did it."""
        self._orders.extend(orders)

    def take(self, rows: Iterable[Sequence[Any]]) -> list[Heard | Ordered]:
        """The next decisions; rows of `COLUMNS`. The ends of their firings, as far as they are known, come in their turn."""
        for row in rows:
            self._take(row)
        return self._finished()

    def end(self, row: Sequence[Any]) -> None:
        """The firing of a decision that was taken ended, if it did after that; a row of `END`."""
        seq, fingerprint, received, ends, closed, before = row
        if before is not None and before > seq:
            heard = moment(closed)
            over = Told(fingerprint, _RESOLVED, _NO_LABELS, moment(received), moment(ends), heard)
            heappush(self._ends, (before, heard, seq, over))

    def before(self, number: int) -> list[Heard | Ordered]:
        """What was before the decision with this number; a batch that may go on waits."""
        self._before(number)
        return self._finished()

    def rest(self) -> list[Heard | Ordered]:
        """What came after the last decision."""
        self._before(_LAST)
        self._close()
        return self._finished()

    def forget(self, alerts: int) -> None:
        """Keep the labels of at most so many alerts; they are read anew."""
        if len(self._labels) > alerts:
            self._labels = {}

    def _take(self, row: Sequence[Any]) -> None:
        seq, fingerprint, received, ends, closed, before, labels, facts, decided, action, incident, severity, rule = row
        if (self._ends and self._ends[0][0] <= seq) or (self._orders and self._orders[0][0] <= seq):
            self._before(seq)
        known = self._labels.get(fingerprint)
        if known is None:
            known = self._labels[fingerprint] = from_json(labels)
        looked_at, heard = from_json(facts), moment(received)
        started = looked_at.get("starts_at")
        unseen = before is not None and before <= seq
        told = Told(
            fingerprint, _RESOLVED if unseen else _FIRING, known, moment(started) if started else heard,
            moment(ends) if unseen else None, heard,
        )  # fmt: skip
        batch = self._at(moment(decided))
        batch.alerts.append(told)
        batch.decided[seq] = Decided(seq, _ACTIONS[action], incident, _SEVERITIES[severity], rule)
        if slos := looked_at.get("slos"):
            batch.slos.update({name: Level(level) for name, level in slos.items()})
        if before is not None:
            self.end((seq, fingerprint, received, ends, closed, before))

    def _at(self, when: datetime) -> Heard:
        """The batch of this moment, which is the last one or a new one."""
        batch = self._batch
        if batch is None or batch.at != when:
            self._close()
            batch = self._batch = Heard(when)
        return batch

    def _close(self) -> None:
        if self._batch is not None:
            self._done.append(self._batch)
            self._batch = None

    def _finished(self) -> list[Heard | Ordered]:
        done, self._done = self._done, []
        return done

    def _before(self, number: int) -> None:
        """Ends and orders before the decision with this number, whichever came first."""
        while True:
            end = self._ends[0][:2] if self._ends and self._ends[0][0] <= number else None
            order = (self._orders[0][0], self._orders[0][1].at) if self._orders and self._orders[0][0] <= number else None
            if end is not None and (order is None or end <= order):
                over = heappop(self._ends)[3]
                self._at(over.received_at).alerts.append(over)
            elif order is not None:
                self._close()
                self._done.append(self._orders.popleft()[1])
            else:
                return


def moment(value: Any) -> datetime:
    """SQLite stores text, PostgreSQL moments."""
    return datetime.fromisoformat(value) if type(value) is str else value.astimezone(UTC)
