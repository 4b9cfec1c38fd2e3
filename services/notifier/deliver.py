"""Makes deliveries: one piece of work after another, each tried, recorded, and tried again when that can help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.delivery import State
from services.notifier.domain.outcome import Failed, after
from services.notifier.domain.rate import Pace
from services.notifier.metrics import NotifierMetrics
from services.notifier.ports import Address, Begun, Channel, ChannelError, Channels, Gone, Job, Limits, Outcomes, Thread, Trouble
from services.notifier.say import LONGEST_TRY, Speaker, within
from services.runtime.clock import Clock
from services.runtime.work import Claimed, Step

log = structlog.get_logger(__name__)

LOOK_AGAIN = timedelta(seconds=3)
"""Between two looks whether a channel can be used by now."""


@dataclass
class Deliver:
    """`begin` is that of the worker. What the database raises is left to the worker's own retry."""

    outcomes: Outcomes
    channels: Channels
    limits: Mapping[str, Limits | None]
    clock: Clock
    metrics: NotifierMetrics
    pace: Pace = field(default_factory=Pace)
    dice: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._speaker = Speaker(self.clock, self.metrics)

    async def begin(self, connection: AsyncConnection, pieces: Sequence[Claimed]) -> list[tuple[Claimed, Step]]:
        """Whatever can be known and noted before the first byte leaves, in the one transaction that claims the work."""
        now, todo = self.clock.now(), list[tuple[Claimed, Step]]()
        tries: list[tuple[Claimed, Channel, Job]] = []
        for piece, job in await self.outcomes.load(connection, pieces):
            if isinstance(job, ValueError):
                todo.append((piece, partial(_raise, job)))
                continue
            channel = self.channels.get(job.delivery.place.channel)
            if isinstance(channel, Channel):
                if not await self._must_wait(connection, piece, job, now):
                    tries.append((piece, channel, job))
            elif channel is not None and now < job.delivery.give_up_at:
                await self.outcomes.hold(connection, piece, job, now + LOOK_AGAIN, channel)
            else:
                reason = f"gave up: {channel}" if channel else "the channel is no longer configured"
                todo.append((piece, partial(self._give_up, piece, job, reason, doubt=job.in_doubt)))
        begun = await self.outcomes.begin(connection, [job for _, _, job in tries], now)
        steps = [partial(self._try, piece, channel, each) for (piece, channel, _), each in zip(tries, begun, strict=True)]
        return todo + [(piece, step) for (piece, _, _), step in zip(tries, steps, strict=True)]

    async def _must_wait(self, connection: AsyncConnection, claimed: Claimed, job: Job, now: datetime) -> bool:
        place = job.delivery.place
        slot = self.pace.slot(place, self.limits.get(place.channel), claimed.key, job.call, now)
        if slot <= now:
            return False
        await self.outcomes.wait(connection, claimed, slot, "waits for its turn at the destination")
        return True

    async def _try(self, claimed: Claimed, channel: Channel, begun: Begun) -> None:
        job, lost = begun.job, begun.job.root is not None
        self._ended(job, State.SUPERSEDED, begun.superseded)
        try:
            async with within(LONGEST_TRY):
                if job.root is not None:
                    job = await self._restore(channel, job)
                address, note = await self._speaker.say(channel, job, look_first=begun.look_first)
        except Gone as error:
            await self._gone(claimed, job, error, again=not lost)
        except ChannelError as error:
            await self._failed(claimed, job, error)
        else:
            await self._sent(claimed, job, address, note)

    async def _restore(self, channel: Channel, job: Job) -> Job:
        """The thread was lost: its first message is said again, or found, so that the reply stands below it."""
        try:
            address = await self._speaker.say_root(channel, job)
        except ChannelError as error:
            if error.retry:
                raise
            # Slack will never show it; the reply itself may still be shown.
            return job
        await self.outcomes.rooted(job, address)
        return Job(job.delivery, Thread(address), job.overtakes)

    async def _sent(self, claimed: Claimed, job: Job, address: Address, note: str | None) -> None:
        now, channel = self.clock.now(), job.delivery.place.channel
        if not await self.outcomes.sent(claimed, job, address, now, note):
            return
        self._ended(job, State.SENT)
        if job.delivery.caused_at is not None:
            self.metrics.seconds.labels(channel).observe(max(0.0, (now - job.delivery.caused_at).total_seconds()))

    async def _gone(self, claimed: Claimed, job: Job, error: Gone, *, again: bool) -> None:
        """What has no address could not be gone, nor should it be what was there a moment ago: a failure like any other."""
        if job.thread.address is None or not again:
            await self._failed(claimed, job, error)
            return
        self.metrics.attempts_failed.labels(job.delivery.place.channel, error.trouble).inc()
        await self.outcomes.forget(claimed, job, self.clock.now(), error.reason)

    async def _failed(self, claimed: Claimed, job: Job, error: ChannelError) -> None:
        now, delivery = self.clock.now(), job.delivery
        channel = delivery.place.channel
        self.metrics.attempts_failed.labels(channel, error.trouble).inc()
        log.warning(
            "delivery_attempt_failed",
            delivery=delivery.id,
            incident=delivery.place.incident,
            channel=channel,
            trouble=error.trouble.value,
            reason=error.reason,
            attempt=delivery.attempts,
        )
        step = after(error, attempt=delivery.attempts, now=now, give_up_at=delivery.give_up_at, dice=self.dice.random())
        if isinstance(step, Failed):
            await self._give_up(claimed, job, step.reason, doubt=step.doubt)
            return
        if error.trouble is Trouble.RATE_LIMITED:
            self._pause(claimed, job, step.at)
        await self.outcomes.again(claimed, job, step.at, step.reason, doubt=step.doubt)

    def _pause(self, claimed: Claimed, job: Job, until: datetime) -> None:
        """The destination asks for silence; who was refused is the first to speak after it."""
        place, limits = job.delivery.place, self.limits.get(job.delivery.place.channel)
        self.pace.close(place, limits, until)
        self.pace.slot(place, limits, claimed.key, job.call, self.clock.now())

    async def _give_up(self, claimed: Claimed, job: Job, reason: str, *, doubt: bool) -> None:
        if await self.outcomes.failed(claimed, job, reason, self.clock.now(), doubt=doubt):
            self._ended(job, State.FAILED)
            log.error("delivery_failed", delivery=job.delivery.id, incident=job.delivery.place.incident, reason=reason)

    def _ended(self, job: Job, state: State, count: int = 1) -> None:
        if count:
            self.metrics.ended(job.delivery.place.channel, job.delivery.kind, state, count)


async def _raise(error: Exception) -> None:
    raise error
