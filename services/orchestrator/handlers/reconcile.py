"""Asking Alertmanager why it went quiet, and storing what it says.

There is one piece of durable work: whichever process claims it does the round, so that of many orchestrators one asks at a time.
They are asked outside of any transaction; what changes is decided again in a serial one, from the rows as they are then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from services.config import ConfigFile
from services.orchestrator.adapters import alertmanager
from services.orchestrator.domain.ledger import Cause, Ledger
from services.orchestrator.domain.policy import Policy
from services.orchestrator.domain.reconcile import Answer, Change, OpenFiring, reconcile
from services.orchestrator.domain.restating import incidents_of, tell, turns_of
from services.orchestrator.domain.world import World
from services.orchestrator.handlers.decider import Decider
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import incidents, open_firings, turns
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.durations import parse_duration
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.work import Claimed, Item

log = structlog.get_logger(__name__)

RECONCILE = "reconcile"
"""The queue; there is one piece, which is never done."""
PIECE = "alertmanager"
INTERVAL = parse_duration("1m")
"""Where no Alertmanager is asked: how often to look for what was not heard of for too long."""
LEAST_GRACE = parse_duration("2m")
LARGEST_BATCH = 10_000
"""Firings that one transaction changes; nobody else decides meanwhile."""
LOOK = 5.0
"""Seconds until a reload is noticed."""


@dataclass
class Reconciler:
    """Does the rounds, by the configuration in force. `wake` is that of the worker that calls it."""

    database: Database
    journal: Journal
    decider: Decider
    config: ConfigFile
    policy: Callable[[], Policy]
    clock: Clock
    metrics: OrchestratorMetrics
    wake: Callable[[], None] = lambda: None
    _failing: Mapping[str, str] = field(default_factory=dict)
    _busy: bool = False

    @property
    def interval(self) -> timedelta:
        section = self.config.config.alertmanager
        return section.interval if section else INTERVAL

    async def begin(self) -> None:
        """Have a round at once, now and after each reload."""
        known = None
        while True:
            if known != self.config.hash:
                with suppress(Unavailable):  # the consumer says so
                    await finish(self._put())
                    known = self.config.hash
            await self.clock.sleep(LOOK)

    async def _put(self) -> None:
        async with self.database.transaction() as connection:
            await self.journal.work.put(connection, [Item(RECONCILE, PIECE, self.clock.now())], never_later=True)
        self.wake()

    async def round(self, claimed: Claimed) -> None:
        """One round. The moment of the next is settled first: asking may take longer than a lease."""
        async with self.database.transaction() as connection:
            due_at = self.clock.now() + self.interval
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
        section = self.config.config.alertmanager
        if section is None:
            self._failing = {}
            await self._settle(held, None)
            return
        reply = await alertmanager.ask(section, {firing.fingerprint for firing in held}, self.clock.now())
        await self._settle(held, reply.answer)
        self._note(section.urls, reply)

    async def _settle(self, held: Iterable[OpenFiring], answer: Answer | None) -> None:
        changes = self._decide(held, answer)
        for begin in range(0, len(changes), LARGEST_BATCH):
            await self._store(changes[begin : begin + LARGEST_BATCH], answer)

    def _note(self, urls: Sequence[str], reply: alertmanager.Reply) -> None:
        """Count the round, and say once when somebody begins to fail and when they answer again."""
        for url in urls:
            trouble = reply.troubles.get(url)
            if trouble is not None and url not in self._failing:
                log.warning("alertmanager_fails", url=url, reason=trouble)
            elif trouble is None and url in self._failing:
                log.info("alertmanager_answers", url=url)
        self._failing = reply.troubles
        answered = len(urls) - len(reply.troubles)
        self.metrics.reconciled.labels("complete" if answered == len(urls) else "partial" if answered else "failed").inc()
        if reply.answer.complete:
            self.metrics.last_answer.set(reply.answer.at.timestamp())

    def _decide(self, held: Iterable[OpenFiring], answer: Answer | None) -> list[Change]:
        grace = max(2 * self.interval, LEAST_GRACE)
        return reconcile(held, answer, self.clock.now(), self.config.config.timers.stale_after, grace)

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
