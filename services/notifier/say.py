"""Talks to a channel: posts or edits, and looks first where an earlier try may have left the message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from services.notifier.domain.content import Content
from services.notifier.domain.lookups import Lookups
from services.notifier.metrics import NotifierMetrics
from services.notifier.ports import Address, Channel, ChannelError, Gone, Job, NotAllowed, Trouble
from services.runtime.clock import Clock

log = structlog.get_logger(__name__)

LONGEST_TRY = 20.0
"""Seconds that a try may take: it must end before its lease does (`work.LEASE`), and what came of it must be written down."""
LONGEST_LOOK = 8.0
"""Seconds of these that a lookup may take, so that there is time to speak after it."""

Said = tuple[Address, str | None]
"""Where the message stands, and what people should know of how it came there."""


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raises `ChannelError` when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ChannelError(Trouble.TIMEOUT, "the channel did not answer in time", retry=True, happened=None) from None


@dataclass
class Speaker:
    """A message said twice is better than one never said: where looking cannot work, or fails too often, it is said again."""

    clock: Clock
    metrics: NotifierMetrics
    lookups: Lookups = field(default_factory=Lookups)

    async def say(self, channel: Channel, job: Job, *, look_first: bool) -> Said:
        """Raises `ChannelError`."""
        delivery, address = job.delivery, job.thread.address
        if job.is_summary and address is not None:
            return await channel.edit(address, delivery.content, delivery=delivery.id), None
        if not look_first:
            return await self._post(channel, job, delivery.content, job.marker, address), None
        found, note = await self._look(channel, job, job.marker, address)
        if found is None:
            return await self._post(channel, job, delivery.content, job.marker, address, blind=note is not None), note
        if job.marker != delivery.id:
            found = await self._bring_up_to_date(channel, job, found)
        return found, note

    async def say_root(self, channel: Channel, job: Job) -> Address:
        """The first message of a thread that was lost. Raises `ChannelError`."""
        assert job.root is not None and job.thread.marker is not None
        found, note = await self._look(channel, job, job.thread.marker, None)
        return found or await self._post(channel, job, job.root, job.thread.marker, None, blind=note is not None)

    async def _post(
        self, channel: Channel, job: Job, content: Content, marker: str, thread: Address | None, *, blind: bool = False
    ) -> Address:
        try:
            return await channel.post(job.delivery.place.destination, content, delivery=marker, thread=thread)
        except ChannelError as error:
            # Whatever became of this call, what the earlier try left is still not known.
            error.happened = None if blind else error.happened
            raise

    async def _look(self, channel: Channel, job: Job, marker: str, thread: Address | None) -> tuple[Address | None, str | None]:
        """The message of an earlier try; with a note when nobody could look."""
        since = (job.thread.tried_at if thread is None else None) or job.since
        try:
            async with within(LONGEST_LOOK):
                found = await channel.find(job.delivery.place.destination, delivery=marker, since=since, thread=thread)
        except Gone:
            if thread is None:
                return None, None
            raise
        except ChannelError as error:
            hopeless = isinstance(error, NotAllowed) or not error.retry
            if not hopeless and not self.lookups.failed(marker, self.clock.now()):
                error.happened = None
                raise
            place = job.delivery.place
            self.metrics.attempts_failed.labels(place.channel, error.trouble).inc()
            log.warning("delivery_not_looked_up", delivery=job.delivery.id, incident=place.incident, reason=error.reason)
            return None, f"an earlier try may have left it too, nobody could look: {error.reason}"
        self.lookups.worked(marker)
        return found, None

    async def _bring_up_to_date(self, channel: Channel, job: Job, found: Address) -> Address:
        """A newer summary found what an older one left. The mark stays, so that it is found again should nobody learn of this."""
        try:
            return await channel.edit(found, job.delivery.content, delivery=job.marker)
        except Gone:
            return await self._post(channel, job, job.delivery.content, job.marker, None)
        except ChannelError as error:
            error.happened = None
            raise
