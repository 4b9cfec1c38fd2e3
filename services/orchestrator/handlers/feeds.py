"""Calendars of others, asked for again and again; the last good copy is kept and used while their source is away.

There is one piece of durable work for each: whichever process claims it asks, so that of many orchestrators one does. What comes
of it is stored, and all read it there.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from services.orchestrator.domain.duty.calendars import Entry, Fetched, NoFeed, Unchanged, Whom
from services.orchestrator.store import feeds as store
from services.orchestrator.store.feeds import Copy
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.errors import Unavailable
from services.runtime.finish import finish
from services.runtime.work import Claimed, Item, Work

log = structlog.get_logger(__name__)

FEEDS = "feeds"
"""The queue; the key is the rotation, and a piece is done when the rotation has no calendar any more."""
PAST, AHEAD = timedelta(days=31), timedelta(days=400)
"""How far around the present a calendar is known."""
FRESH = timedelta(days=1)
"""How much of what lies ahead may be missing before a calendar is worked out again."""
LOOK = 5.0
"""Seconds until a reload is noticed."""

Fetch = Callable[[str | None], Awaitable[Fetched | Unchanged | NoFeed]]
"""The calendar, given the tag of the copy that we have; never raises."""
Expand = Callable[[bytes, datetime, datetime], Awaitable[Sequence[Entry] | NoFeed]]
"""What stands in a calendar between two moments; never raises."""


@dataclass(frozen=True)
class Feed:
    """A calendar that says who is on call. `source` tells it from the one that the rotation had before."""

    rotation: str
    source: str
    whom: Whom
    fetch: Fetch
    expand: Expand
    refresh: timedelta = timedelta(minutes=15)


class Feeds(Protocol):
    """All of them, by the rotation; `version` changes with what the configuration says."""

    @property
    def version(self) -> str: ...

    @property
    def feeds(self) -> Mapping[str, Feed]: ...


@dataclass
class FeedKeeper:
    """`plan` is that of the configuration in force; `wake` is that of the worker."""

    database: Database
    work: Work
    plan: Callable[[], Feeds]
    clock: Clock
    wake: Callable[[], None] = lambda: None

    async def begin(self) -> None:
        """Ask for all of them at once, now and after each reload."""
        known = None
        while True:
            version = self.plan().version
            if version != known:
                with suppress(Unavailable):  # the consumer says so
                    await finish(self._put())
                    known = version
            await self.clock.sleep(LOOK)

    async def _put(self) -> None:
        now = self.clock.now()
        async with self.database.transaction() as connection:
            await self.work.put(connection, [Item(FEEDS, name, now) for name in self.plan().feeds], never_later=True)
        self.wake()

    async def round(self, claimed: Claimed) -> None:
        """Ask for one. The moment of the next time is settled first: an answer may take longer than a lease."""
        feed = self.plan().feeds.get(claimed.key)
        async with self.database.transaction() as connection:
            if feed is None:
                await store.forget(connection, claimed.key)
                await self.work.done(connection, claimed)
                return
            due_at = self.clock.now() + feed.refresh
            await self.work.again(connection, claimed, due_at, "it is asked for again and again")
        await self.refresh(feed)

    async def refresh(self, feed: Feed) -> None:
        """Ask for it, and store what that told."""
        async with self.database.read() as connection:
            found = await store.get(connection, feed.rotation)
        before, body = found if found and found[0].source == feed.source else (Copy(feed.rotation, feed.source), None)
        answer = await feed.fetch(before.tag if body is not None else None)
        after, fresh = await self._after(feed, before, body, answer)
        async with self.database.transaction() as connection:
            if fresh is None and body is not None:
                await store.note(connection, after)
            else:
                await store.keep(connection, after, fresh)
        _tell(before, after)

    async def _after(
        self, feed: Feed, before: Copy, body: bytes | None, answer: Fetched | Unchanged | NoFeed
    ) -> tuple[Copy, bytes | None]:
        """The copy as it then is, and the calendar when it is another one."""
        now = self.clock.now()
        if isinstance(answer, Fetched):
            good = await self._worked_out(feed, before, answer.body)
            if isinstance(good, Copy):
                return replace(good, fetched_at=now, tag=answer.tag, failing_since=None, reason=None), answer.body
            answer = good
        if isinstance(answer, Unchanged):
            copy = replace(before, fetched_at=now, failing_since=None, reason=None)
        else:
            copy = replace(before, failing_since=before.failing_since or now, reason=answer.sentence)
        return await self._moved_on(feed, copy, body), None

    async def _moved_on(self, feed: Feed, copy: Copy, body: bytes | None) -> Copy:
        """Time goes on: some day a copy has to be worked out for what then lies ahead."""
        if body is None or (copy.known_until is not None and copy.known_until > self.clock.now() + AHEAD - FRESH):
            return copy
        again = await self._worked_out(feed, copy, body)
        return again if isinstance(again, Copy) else copy

    async def _worked_out(self, feed: Feed, copy: Copy, body: bytes) -> Copy | NoFeed:
        start, end = self.clock.now() - PAST, self.clock.now() + AHEAD
        entries = await feed.expand(body, start, end)
        return entries if isinstance(entries, NoFeed) else replace(copy, entries=entries, known_from=start, known_until=end)


def _tell(before: Copy, after: Copy) -> None:
    """Say once when it begins to fail and when it works again."""
    if after.failing_since is not None and before.failing_since is None:
        log.warning("oncall_feed_fails", rotation=after.rotation, reason=after.reason, copy_of=after.fetched_at)
    elif after.failing_since is None and before.failing_since is not None:
        log.info("oncall_feed_works", rotation=after.rotation)
