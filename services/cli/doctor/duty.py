"""Who is on call: whether calendars can be had, whether somebody is always there, and nobody twice."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from services.cli.database import opened
from services.cli.doctor.finding import Finding, fail, ok, warn
from services.config import ConfigFile
from services.orchestrator.domain.duty.bookings import double_bookings
from services.orchestrator.domain.duty.calendars import Calendar, Fetched, NoFeed, calendar_of
from services.orchestrator.domain.duty.moments import minute
from services.orchestrator.domain.duty.oncall import shifts
from services.orchestrator.domain.duty.roster import Roster
from services.orchestrator.domain.duty.rotation import Override
from services.orchestrator.domain.duty.spans import FAR
from services.orchestrator.domain.spoken import count, span
from services.orchestrator.handlers.feeds import PAST, Feed
from services.orchestrator.handlers.oncall import Plan, standing_in
from services.orchestrator.handlers.rota import AHEAD
from services.orchestrator.rotafile import plan_of
from services.orchestrator.store import overrides
from services.process import Settings
from services.runtime.clock import Clock
from services.runtime.errors import DatabaseUnavailable

CHECK, CALENDAR = "on call", "calendar"
MEND = "Give the rotation another layer, or let somebody stand in: `tocsin oncall override`."


async def duty(settings: Settings, file: ConfigFile | None) -> list[Finding]:
    """One line for each calendar, and for each rotation with gaps; one for all double bookings."""
    if file is None:
        return [warn(CHECK, "not checked", "Mend the configuration first.")]
    plan, now = plan_of(file.config, file.hash), Clock().now()
    if not plan.rotations:
        return [ok(CHECK, "no rotation is configured")]
    asked = await asyncio.gather(*(_asked(feed, now) for feed in plan.feeds.values()))
    calendars = {name: found for name, found in zip(plan.feeds, asked, strict=True) if isinstance(found, Calendar)}
    roster = await _roster(settings, plan, calendars, now)
    told = [_calendar(name, found) for name, found in zip(plan.feeds, asked, strict=True)]
    return [*told, *_shifts(roster, now)]


async def _asked(feed: Feed, now: datetime) -> Calendar | NoFeed:
    """The calendar as it is now, whatever copy is kept."""
    fetched = await feed.fetch(None)
    if not isinstance(fetched, Fetched):
        return fetched if isinstance(fetched, NoFeed) else NoFeed("it says that it has not changed, which nobody asked")
    entries = await feed.expand(fetched.body, now - PAST, now + AHEAD)
    return entries if isinstance(entries, NoFeed) else calendar_of(entries, feed.whom)


def _calendar(name: str, found: Calendar | NoFeed) -> Finding:
    if isinstance(found, NoFeed):
        hint = "Until it can be had the last good copy is used, if there is one; `tocsin oncall` tells its age."
        return fail(CALENDAR, f"{name}: {found.sentence}", hint)
    if found.unknown:
        names = ", ".join(found.unknown)
        return warn(CALENDAR, f"{name}: nobody knows {names}", "Say whom they mean under the rotation's feed.people.")
    return ok(CALENDAR, f"{name}: it can be had, {count(len(found.known.known), 'shift')}")


async def _roster(settings: Settings, plan: Plan, calendars: Mapping[str, Calendar], now: datetime) -> Roster:
    rotations = [replace(each, calendar=calendars.get(each.name)) for each in plan.rotations]
    return Roster(rotations, standing_in(await _overrides(settings, now), plan))


async def _overrides(settings: Settings, now: datetime) -> Sequence[Override]:
    """Those of the database, as far as there is one; what is wrong with it is told elsewhere."""
    if not settings.database and not (settings.storage / "orchestrator.db").exists():
        return []
    try:
        async with opened(settings, "orchestrator") as database, database.read() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("overrides")):
                return []
            return await overrides.between(connection, now - FAR, now + AHEAD)
    except (DatabaseUnavailable, SQLAlchemyError):
        return []


def _shifts(roster: Roster, now: datetime) -> Iterator[Finding]:
    timelines = {each.name: shifts(each, roster.of(each), now, now + AHEAD) for each in roster.rotations}
    good = True
    for rotation in roster.rotations:
        if gaps := roster.missing(rotation, timelines):
            good, first = False, gaps[0]
            lasting = span(sum((gap.end - gap.start for gap in gaps), timedelta()))
            told = f"{rotation.name}: nobody for {lasting} of the next {span(AHEAD)}, first from {minute(first.start)}"
            yield warn(CHECK, f"{told} to {minute(first.end)}", MEND)
    if twice := double_bookings(roster.rotations, timelines, now, now + AHEAD):
        good, more = False, f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        told = f"{twice[0].sentence}{more}, from {minute(twice[0].start)} to {minute(twice[0].end)}"
        yield warn(CHECK, told, "`tocsin oncall` shows all of them; let somebody stand in, or change the rotations.")
    if good:
        told = f"somebody is always on call in {count(len(roster.rotations), 'rotation')} for the next {span(AHEAD)}"
        yield ok(CHECK, told)
