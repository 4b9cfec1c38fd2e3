"""Makes deliveries: one piece of work after another, each tried, recorded, and tried again when that can help."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import structlog

from services.notifier.domain.delivery import State
from services.notifier.domain.outcome import Failed, after
from services.notifier.domain.rate import Pace
from services.notifier.metrics import NotifierMetrics
from services.notifier.ports import Address, Channel, ChannelError, Channels, Gone, Job, Limits, Outcomes, Trouble
from services.runtime.clock import Clock
from services.runtime.work import Claimed

log = structlog.get_logger(__name__)

LONGEST_TRY = 45.0
"""Seconds that a try may take, so that it ends before its lease does."""


@dataclass
class Deliver:
    """The `Do` of the worker. What the database raises is left to the worker's own retry."""

    outcomes: Outcomes
    channels: Channels
    limits: Mapping[str, Limits | None]
    clock: Clock
    metrics: NotifierMetrics
    pace: Pace = field(default_factory=Pace)
    dice: Random = field(default_factory=Random)

    async def __call__(self, claimed: Claimed) -> None:
        job = await self.outcomes.load(claimed.payload["delivery"])
        if job is None or job.delivery.state.final:
            await self.outcomes.drop(claimed)
            return
        channel = await self.channels.get(job.delivery.place.channel)
        if channel is None:
            await self._give_up(claimed, job, "the channel is no longer configured", doubt=job.in_doubt)
        elif not await self._must_wait(claimed, job):
            await self._try(claimed, job, channel)

    async def _must_wait(self, claimed: Claimed, job: Job) -> bool:
        now, place = self.clock.now(), job.delivery.place
        slot = self.pace.slot(place, self.limits.get(place.channel), claimed.key, job.call, now)
        if slot <= now:
            return False
        await self.outcomes.wait(claimed, slot, "waits for its turn at the destination")
        return True

    async def _try(self, claimed: Claimed, planned: Job, channel: Channel) -> None:
        begun = await self.outcomes.begin(planned, self.clock.now())
        if begun is None:
            log.warning("delivery_taken_over", delivery=planned.delivery.id)
            return
        job, superseded = begun
        self._ended(job, State.SUPERSEDED, superseded)
        try:
            address = await _send(channel, job, look_first=planned.in_doubt)
        except Gone as error:
            await self._gone(claimed, job, error)
        except ChannelError as error:
            await self._failed(claimed, job, error)
        else:
            await self._sent(claimed, job, address)

    async def _sent(self, claimed: Claimed, job: Job, address: Address) -> None:
        now, channel = self.clock.now(), job.delivery.place.channel
        if not await self.outcomes.sent(claimed, job, address, now):
            return
        self._ended(job, State.SENT)
        if job.delivery.caused_at is not None:
            self.metrics.seconds.labels(channel).observe(max(0.0, (now - job.delivery.caused_at).total_seconds()))

    async def _gone(self, claimed: Claimed, job: Job, error: Gone) -> None:
        """Without an address there was nothing that could be gone: then it is a failure like any other."""
        if job.thread.address is None:
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


async def _send(channel: Channel, job: Job, *, look_first: bool) -> Address:
    """Raises `ChannelError`, within `LONGEST_TRY` seconds."""
    try:
        async with asyncio.timeout(LONGEST_TRY):
            return await _say(channel, job, look_first=look_first)
    except TimeoutError:
        raise ChannelError(Trouble.TIMEOUT, "the channel did not answer in time", retry=True, happened=None) from None


async def _say(channel: Channel, job: Job, *, look_first: bool) -> Address:
    delivery, address = job.delivery, job.thread.address
    if job.is_summary and address is not None:
        return await channel.edit(address, delivery.content, delivery=delivery.id)
    found = await _recover(channel, job) if look_first else None
    if found is not None:
        return found
    return await channel.post(delivery.place.destination, delivery.content, delivery=job.marker, thread=address)


async def _recover(channel: Channel, job: Job) -> Address | None:
    """The message of an earlier try, if there is one, saying what it should say now.

    Where looking cannot work at all None is returned: a message said twice is better than one never said.
    """
    delivery = job.delivery
    try:
        found = await channel.find(delivery.place.destination, delivery=job.marker, since=job.since, thread=job.thread.address)
        if found is not None and job.marker != delivery.id:
            # The mark stays, so that the message is found again should nobody learn of this edit.
            found = await channel.edit(found, delivery.content, delivery=job.marker)
    except Gone:
        if job.is_summary:
            return None
        raise
    except ChannelError as error:
        if not error.retry:
            return None
        # Whatever became of this call, what the earlier try left is still not known.
        error.happened = None
        raise
    return found
