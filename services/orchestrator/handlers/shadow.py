"""Shadow mode: a candidate follows what is recorded, off the way of deciding, and nothing of what it decides is done.

Its memory is rebuilt by replaying the recent log, so that only results are stored: they and how far it came are one transaction,
and whoever leads after a crash goes on from there. Of several orchestrators one leads, by a lease in the candidate's row, which
each step renews; who has lost it stores nothing more.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.replaying import Heard
from services.orchestrator.domain.trying.shadowing import FURTHEST, News, Shadow, beginning
from services.orchestrator.metrics import ShadowMetrics
from services.orchestrator.store import shadows
from services.orchestrator.store.shadows import Course
from services.orchestrator.store.tail import Bit, Tail
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.wake import Waker

log = structlog.get_logger(__name__)

BIT = 500
"""Decisions played at once; each bit is one transaction at most."""
BREATH = 50
"""Decisions after which others have their turn."""
LOOK, GLANCE, PAUSE, AFTER_A_FAULT = 30.0, 2.0, 1.0, 60.0
"""Seconds: between two looks when nobody wakes us, between two glances at whether there is another candidate, at least between
two looks that are woken, and after an unexpected error."""
LATEST = timedelta(minutes=1)
"""No transaction that decides takes longer: what was due before that is due whatever may still come."""
TRIM = timedelta(minutes=1)
"""How often something that is too old is forgotten."""
RENEWED = timedelta(days=1)
"""How long a memory is used before it is rebuilt, so that it holds no more than one after a restart."""


@dataclass
class _Memory:
    """A candidate at work. `news` has not been stored yet, with `position` after it; `last` is the last decision there is."""

    course: Course
    shadow: Shadow
    tail: Tail
    position: int
    begun_at: datetime
    stored_at: datetime
    news: News | None = None
    last: int = 0
    whole: bool = False

    @property
    def warming(self) -> int:
        """How many decisions are still to be played that have been compared before."""
        return max(0, self.course.position - self.tail.next)

    @property
    def lag(self) -> int:
        return max(0, self.last + 1 - self.position)


class Follower:
    """Lets the candidate that is configured follow the log. `name` is what others know it by; embedded there are no others, so
    that a process goes on at once with the lead of the one that was killed."""

    def __init__(
        self,
        database: Database,
        candidate: Callable[[], Policy | None],
        clock: Clock,
        metrics: ShadowMetrics,
        name: str | None = None,
    ) -> None:
        self._database, self._candidate, self._clock, self._metrics = database, candidate, clock, metrics
        self._me = name or ("embedded" if database.sqlite else secrets.token_hex(8))
        self._waker = Waker()
        self._memory: _Memory | None = None
        self._followed: Policy | None = None
        self._trimmed_at, self._ran = clock.now(), False

    def wake(self) -> None:
        """Something was decided or done."""
        self._waker.wake()

    async def run(self) -> None:
        """Follow until cancelled."""
        if self._ran:  # an unexpected error ended it
            await self._clock.sleep(AFTER_A_FAULT)
        self._ran = True
        while True:
            try:
                await self._catch_up()
            except Unavailable as error:
                log.warning("shadow_waits", reason=error.detail)
            await self._clock.sleep(PAUSE)
            await self._something_new()

    async def _something_new(self) -> None:
        """Until somebody wakes us, there is another candidate, or it is time to look."""
        for _ in range(int(LOOK / GLANCE)):
            if await self._waker.sleep(GLANCE) or self._candidate() is not self._followed:
                return

    async def _catch_up(self) -> None:
        """As long as there is more, but never more than half of the time."""
        begun = self._clock.monotonic()
        while await finish(self.round()):
            await self._clock.sleep(self._clock.monotonic() - begun)
            begun = self._clock.monotonic()

    async def stop(self) -> None:
        """Let another orchestrator lead at once."""
        memory, self._memory = self._memory, None
        if memory is not None:
            async with self._database.transaction() as connection:
                await shadows.leave(connection, memory.course.policy, self._me)

    async def round(self) -> bool:
        """One step further, if there is a candidate and we lead. Returns whether there is more to do at once."""
        policy = self._followed = self._candidate()
        if self._memory is not None and (policy is None or policy.version != self._memory.course.policy):
            await self.stop()
        if policy is None:
            self._metrics.show(lag=0, incidents=0)
            return False
        if self._memory is None and not await self._begin(policy):
            return False
        assert self._memory is not None
        return await self._step(self._memory)

    async def _begin(self, policy: Policy) -> bool:
        """Take the lead and begin as far back as decisions look; False when another has it."""
        now = self._clock.now()
        async with self._database.read() as connection:
            if await shadows.led_by_another(connection, policy.version, self._me, now):
                known, last = await shadows.course(connection, policy.version), await shadows.last_decision(connection)
                self._metrics.show(lag=last + 1 - known.position if known else 0, incidents=0)
                return False
        async with self._database.transaction() as connection:
            course = await shadows.lead(connection, policy.version, self._me, now)
        if course is None:
            return False
        async with self._database.read() as connection:
            since = await _beginning(connection, course, policy.memory, now)
            first = min(await shadows.first_since(connection, since), course.position)
        shadow, tail = Shadow(policy, first, since), Tail(first, since)
        self._memory = _Memory(course, shadow, tail, course.position, begun_at=now, stored_at=now)
        log.info("shadow_began", policy=policy.version, decision=course.position, remembers_from=since.isoformat())
        return True

    async def _step(self, memory: _Memory) -> bool:
        now, late = self._clock.now(), memory.news is not None
        if not late:
            await self._follow(memory, now)
        if not await self._store(memory, now):
            log.info("shadow_lost_the_lead", policy=memory.course.policy)
            self._memory = None
            return True
        if memory.whole:
            await self._tidy(memory, now)
        return late or not memory.whole

    async def _tidy(self, memory: _Memory, now: datetime) -> None:
        """What is done when there is nothing else to do."""
        if now - self._trimmed_at >= TRIM:
            async with self._database.transaction() as connection:
                await shadows.trim(connection, now)
            self._trimmed_at = now
        if now - memory.begun_at >= RENEWED:
            self._memory = None

    async def _follow(self, memory: _Memory, now: datetime) -> None:
        """Play what is new. After this, what came of it is known but not stored."""
        warming = memory.warming
        async with self._database.snapshot() as connection:
            found = await memory.tail.look(connection, min(BIT, warming) if warming else BIT)
        self._memory = None  # until it has come to the end of the bit: one that is interrupted is of no use
        bit = memory.tail.take(found)
        await _play(memory.shadow, bit)
        if bit.whole:
            memory.shadow.wait(now - LATEST)
        news = memory.shadow.take()
        memory.news = News(opened=news.opened) if warming else news
        memory.whole, memory.last = bit.whole, bit.last
        if bit.whole:
            memory.position = max(memory.position, memory.tail.next)
        elif news.decisions:
            memory.position = max(memory.position, news.decisions[-1].was.seq + 1)
        self._memory = memory

    async def _store(self, memory: _Memory, now: datetime) -> bool:
        """One transaction: the results and how far we came. False when we no longer lead, or do not know what was stored."""
        news, before = memory.news or News(), memory.course
        quiet = memory.position == before.position and not (news.opened or news.would_open or news.pairs)
        if not quiet or now - memory.stored_at >= shadows.LEASE / 3:
            async with self._database.transaction() as connection:
                ours = await shadows.move(connection, before, self._me, now, memory.position, memory.shadow.moment)
                if ours:
                    await shadows.keep(connection, before, news)
            if not ours:
                return False
            memory.course, memory.stored_at = replace(before, position=memory.position), now
            self._metrics.compared([each for each in news.decisions if each.was.seq >= before.position])
        memory.news = None
        self._metrics.show(lag=memory.lag, incidents=memory.shadow.open)
        return True


async def _beginning(connection: AsyncConnection, course: Course, memory: timedelta, now: datetime) -> datetime:
    """From when on the log is to be played, for the candidate to be where it was."""
    here = await shadows.decided_at(connection, course.position) or now
    since = here - FURTHEST
    first = await shadows.first_since(connection, since)
    return beginning(here, memory, await shadows.spans(connection, course.policy, first, since))


async def _play(shadow: Shadow, bit: Bit) -> None:
    """Others have their turn now and then."""
    shadow.learn(bit.openings)
    if bit.planned is not None:
        shadow.plan(bit.planned)
    played = 0
    for step in bit.steps:
        shadow.play(step)
        played += len(step.alerts) if isinstance(step, Heard) else 1
        if played >= BREATH:
            played = 0
            await asyncio.sleep(0)
