"""Asking Alertmanager why it went quiet, and storing what it says.

There is one piece of durable work: whichever process claims it does the round, so that of many orchestrators one asks at a time.
They are asked outside of any transaction; what changes is decided again in a serial one, from the rows as they are then.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from services.orchestrator.domain.alerts.reconcile import Answer, Change, OpenFiring, Reply, reconcile
from services.orchestrator.domain.deciding.ledger import Cause, Ledger
from services.orchestrator.domain.deciding.restating import incidents_of, tell, turns_of
from services.orchestrator.domain.deciding.world import World
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.handlers.decider import Decider
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import incidents, open_firings, turns
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.work import Claimed, Item

log = structlog.get_logger(__name__)

RECONCILE = "reconcile"
"""The queue; there is one piece, which is never done."""
PIECE = "alertmanager"
LEAST_GRACE = timedelta(minutes=2)
"""So long an alert may be missing in the list that was heard of before it was first listed."""
LARGEST_BATCH = 10_000
"""Firings that one transaction changes; nobody else decides meanwhile."""
LOOK = 5.0
"""Seconds until a reload is noticed."""


Ask = Callable[[Collection[str], datetime], Awaitable[Reply]]
"""What Alertmanager says now, which is the moment given, of the alerts with these fingerprints; never raises."""


@dataclass(frozen=True)
class Rounds:
    """How to go about it, by the configuration in force. Without `ask`, rounds only find what was not heard of for too long."""

    stale_after: timedelta
    interval: timedelta = timedelta(minutes=1)
    peers: tuple[str, ...] = ()
    ask: Ask | None = None


@dataclass
class Reconciler:
    """Does the rounds. `wake` is that of the worker that calls it."""

    database: Database
    journal: Journal
    decider: Decider
    rounds: Callable[[], Rounds]
    policy: Callable[[], Policy]
    clock: Clock
    metrics: OrchestratorMetrics
    wake: Callable[[], None] = lambda: None
    _failing: Mapping[str, str] = field(default_factory=dict)
    _busy: bool = False

    async def begin(self) -> None:
        """Have a round at once, now and after each reload."""
        known = None
        while True:
            version = self.policy().version
            if version != known:
                with suppress(Unavailable):  # the consumer says so
                    await finish(self._put())
                    known = version
            await self.clock.sleep(LOOK)

    async def _put(self) -> None:
        async with self.database.transaction() as connection:
            await self.journal.work.put(connection, [Item(RECONCILE, PIECE, self.clock.now())], never_later=True)
        self.wake()

    async def round(self, claimed: Claimed) -> None:
        """One round. The moment of the next is settled first: asking may take longer than a lease."""
        async with self.database.transaction() as connection:
            due_at = self.clock.now() + self.rounds().interval
            await self.journal.work.again(connection, claimed, due_at, "there is one in each interval")
        if self._busy:
            return
        self._busy = True
        try:
            await self._round()
        finally:
            self._busy = False

    async def _round(self) -> None:
        async with self.database.read() as connection:
            held = await open_firings.load(connection)
        if not held:
            return
        rounds = self.rounds()
        if rounds.ask is None:
            self._failing = {}
            await self._settle(held, None)
            return
        reply = await rounds.ask({firing.fingerprint for firing in held}, self.clock.now())
        await self._settle(held, reply.answer)
        self._note(rounds.peers, reply)

    async def _settle(self, held: Iterable[OpenFiring], answer: Answer | None) -> None:
        changes = self._decide(held, answer)
        for begin in range(0, len(changes), LARGEST_BATCH):
            await self._store(changes[begin : begin + LARGEST_BATCH], answer)

    def _note(self, peers: Sequence[str], reply: Reply) -> None:
        """Count the round, and say once when somebody begins to fail and when they answer again."""
        for url in peers:
            trouble = reply.troubles.get(url)
            if trouble is not None and url not in self._failing:
                log.warning("alertmanager_fails", url=url, reason=trouble)
            elif trouble is None and url in self._failing:
                log.info("alertmanager_answers", url=url)
        self._failing = reply.troubles
        answered = len(peers) - len(reply.troubles)
        self.metrics.reconciled.labels("complete" if answered == len(peers) else "partial" if answered else "failed").inc()
        if reply.answer.complete:
            self.metrics.last_answer.set(reply.answer.at.timestamp())

    def _decide(self, held: Iterable[OpenFiring], answer: Answer | None) -> list[Change]:
        rounds = self.rounds()
        return reconcile(held, answer, self.clock.now(), rounds.stale_after, max(2 * rounds.interval, LEAST_GRACE))

    async def _store(self, expected: Sequence[Change], answer: Answer | None) -> None:
        """What was due before is done first. What has changed since we looked is judged as it is now."""
        names = {change.after.fingerprint for change in expected}
        async with self.database.transaction(serial=True) as connection:
            if concerned := incidents_of(expected):
                await self.decider.decide(connection, incidents=concerned)
            changes = self._decide(await open_firings.load(connection, names), answer)
            policy, now = self.policy(), self.clock.now()
            position, number = await incidents.next_numbers(connection)
            await open_firings.keep(connection, changes, now, position)
            await turns.add(connection, turns_of(changes, now))
            world = World(position, number).add(await incidents.named(connection, incidents_of(changes)))
            ledger = Ledger(policy, world, now, telling=True)
            for telling in tell(changes):
                ledger.carry_out(telling.incident, telling.command, Cause(telling.rule, telling.reason, now))
            await self.journal.store(connection, ledger.outcome().events, policy.periods, position)
        self.journal.wake()
