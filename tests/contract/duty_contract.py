"""Who stands in and what calendars said, whichever database it stands in."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from schemas.incidents import Actor
from schemas.vocabulary import ActorKind, Role
from services.orchestrator.domain.duty.calendars import Entry, Fetched, NoFeed, Unchanged, Whom
from services.orchestrator.domain.duty.overriding import Asked, Invalid, Swap
from services.orchestrator.domain.duty.rotation import Override
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers import duty_gauges
from services.orchestrator.handlers import feeds as feed_rounds
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.duty_gauges import DutyGauges
from services.orchestrator.handlers.feeds import AHEAD, FEEDS, PAST, Feed, FeedKeeper
from services.orchestrator.handlers.oncall import Contact, OnCall, Plan
from services.orchestrator.handlers.rota import Rota
from services.orchestrator.handlers.standins import Answer, StandIns
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import feeds as feed_store
from services.orchestrator.store import overrides as store
from services.orchestrator.store import tables
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.migrate import migrate
from services.runtime.work import Claimed, Work
from tests.builders import ANN
from tests.support.duty import DAY, HOUR, WEEK, a_layer, a_rotation, at

NOON = at("2026-11-23T12:00")
HOSTILE = "\u202e😀 ﷽ '\";-- $1 :x %s \u2028"
ENTRY = Entry(NOON, NOON + DAY, "1", f"Cid Ng{HOSTILE}", ("cid@example.com",))


@dataclass
class Source:
    """A calendar's source that says what it is told to; what it gives is worked out as the entries of that name."""

    says: Fetched | Unchanged | NoFeed = field(default_factory=lambda: Fetched(b"one", "tag-1"))
    entries: dict[bytes, list[Entry] | NoFeed] = field(default_factory=lambda: {b"one": [ENTRY]})
    shown: list[str | None] = field(default_factory=list)
    worked_out: list[tuple[bytes, datetime, datetime]] = field(default_factory=list)

    async def fetch(self, tag: str | None) -> Fetched | Unchanged | NoFeed:
        self.shown.append(tag)
        return self.says

    async def expand(self, body: bytes, start: datetime, end: datetime) -> list[Entry] | NoFeed:
        self.worked_out.append((body, start, end))
        return self.entries[body]


@dataclass
class House:
    """The handlers as one process has them, at a clock that stands."""

    database: Database
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOON))
    source: Source = field(default_factory=Source)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        whom = Whom.of({f"Cid Ng{HOSTILE}": "cid"}, [])
        feed = Feed("cmoc", "this calendar", whom, self.source.fetch, self.source.expand)
        rotations = (
            a_rotation(a_layer("bob ann")),
            a_rotation(a_layer("dan", until="2026-01-06T00:00"), name="cmoc", role=Role.CMOC),
        )
        people = {name: Contact(name.title(), f"{name}@example.com") for name in ("ann", "bob", "cid", "dan")}
        self.plan = Plan("v1", rotations, {"cmoc": feed}, people)
        counted = OrchestratorMetrics(self.registry)
        self.oncall = OnCall(self.database, lambda: self.plan)
        self.standins = StandIns(self.oncall, self.clock, counted)
        self.keeper = FeedKeeper(self.database, Work(tables.work), lambda: self.plan, self.clock)
        self.gauges = DutyGauges(self.oncall, self.clock, counted)

    async def add(self, person: str = "cid", **asked: Any) -> Answer | Refusal | Invalid:
        more = {name: asked.pop(name) for name in ("key", "digest") if name in asked}
        wanted = Asked(person, **({"lasts": 4 * HOUR} | asked))
        return await self.standins.add(Request(actor=ANN, reason=HOSTILE, **more), Role.EOC, wanted)

    async def added(self, person: str = "cid", **asked: Any) -> Override:
        answer = await self.add(person, **asked)
        assert isinstance(answer, Answer), answer
        (override,) = answer.overrides
        return override

    async def end(self, name: str, **more: Any) -> Answer | Refusal | Invalid:
        by = Actor(kind=ActorKind.PERSON, name="bob")
        return await self.standins.end(Request(actor=by, reason="well again", **more), name)

    async def person(self, moment: datetime = NOON, role: Role = Role.EOC) -> str | None:
        return (await self.oncall.now(role, [], moment)).person

    async def feed(self) -> Mapping[str, Any]:
        view = await Rota(self.oncall, self.clock).view(self.clock.now(), None)
        found: Mapping[str, Any] = next(item["feed"] for item in view["items"] if item["feed"])
        return found

    async def refreshed(self, says: Fetched | Unchanged | NoFeed | None = None) -> Mapping[str, Any]:
        """What is told of the calendar after it was asked for once more, ten minutes later."""
        self.source.says = says or self.source.says
        self.clock.advance(timedelta(minutes=10))
        await self.keeper.refresh(self.plan.feeds["cmoc"])
        return await self.feed()


@contextmanager
def heard(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> Iterator[list[MutableMapping[str, Any]]]:
    """What a module logs. A logger that has been used keeps its old settings, so it gets a new one."""
    settings = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(module, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines
    structlog.configure(**settings)


class DutyContract:
    """Beside the fixtures of the database contract."""

    @pytest.fixture
    async def on_duty(self, empty: Database) -> House:
        await migrate(empty, "services.orchestrator.store.migrations")
        return House(empty)

    @pytest.fixture
    async def other_duty(self, on_duty: House, empty_neighbour: Database) -> AsyncIterator[House]:
        """The same database, as another process has it."""
        yield House(empty_neighbour, on_duty.clock)

    async def test_who_stands_in_comes_back_as_it_was(self, on_duty: House) -> None:
        override = await on_duty.added()
        assert (override.id, override.rotation, override.by, override.reason) == ("OV-1", "eoc", "ann", HOSTILE)
        async with on_duty.database.read() as connection:
            assert await store.get(connection, ["OV-1"]) == [override]
            assert await store.get(connection, ["OV-2"]) == []

    async def test_whoever_asks_sees_who_stands_in(self, on_duty: House, other_duty: House) -> None:
        assert await other_duty.person() == "bob"
        await on_duty.added()
        assert await other_duty.person() == "cid"
        assert await other_duty.person(NOON + 4 * HOUR) == "bob"
        assert await other_duty.person(NOON - HOUR) == "bob"

    async def test_numbers_have_no_gap_and_one_of_two_at_once_is_refused(self, on_duty: House, other_duty: House) -> None:
        houses = [on_duty, other_duty] * 5
        told = await asyncio.gather(*(house.add("cid" if index % 2 else "dan") for index, house in enumerate(houses)))
        assert sorted(type(answer).__name__ for answer in told) == ["Answer"] * 5 + ["Refusal"] * 5
        assert {override.id for answer in told if isinstance(answer, Answer) for override in answer.overrides} == {"OV-1"}
        assert (await on_duty.added(starts="2026-12-01T00:00")).id == "OV-2"

    async def test_an_override_that_is_there_already_is_not_added_again(self, on_duty: House) -> None:
        asked: dict[str, Any] = {"starts": "2026-12-01T09:00", "lasts": HOUR}
        first, again = await on_duty.added(**asked), await on_duty.add(**asked)
        assert again == Answer([first], changed=False)

    async def test_the_other_one_is_named_in_the_refusal(self, on_duty: House) -> None:
        await on_duty.added()
        refusal = await on_duty.add("dan", lasts=DAY)
        assert isinstance(refusal, Refusal) and refusal.code == "overlap" and refusal.detail.startswith("OV-1 has cid from ")

    async def test_ending_one_gives_the_time_back_and_keeps_who_did_it_and_why(self, on_duty: House) -> None:
        await on_duty.added()
        on_duty.clock.advance(HOUR)
        answer = await on_duty.end("OV-1")
        assert isinstance(answer, Answer)
        (ended,) = answer.overrides
        assert (ended.ended_at, ended.ended_by, ended.end_reason) == (NOON + HOUR, "bob", "well again")
        assert [await on_duty.person(NOON + step * HOUR) for step in (0, 1, 2)] == ["cid", "bob", "bob"]
        assert (await on_duty.added("dan")).id == "OV-2"

    async def test_one_that_is_over_or_not_there_is_not_ended(self, on_duty: House) -> None:
        await on_duty.added()
        await on_duty.end("OV-1")
        told = [await on_duty.end("OV-1"), await on_duty.end("OV-9")]
        assert [answer.code for answer in told if isinstance(answer, Refusal)] == ["illegal_transition", "not_found"]
        second = await on_duty.added()
        on_duty.clock.advance(DAY)
        over = await on_duty.end(second.id)
        assert isinstance(over, Refusal) and over.detail == "OV-2 has been over since 2026-11-23 15:00 UTC."

    async def test_a_repeated_wish_is_answered_and_not_carried_out_again(self, on_duty: House) -> None:
        first = await on_duty.added(starts="2026-11-23T12:00", key="k", digest="d")
        on_duty.clock.advance(12 * HOUR)  # what was wanted is over by now, and the answer is still the same
        assert await on_duty.add(starts="2026-11-23T12:00", key="k", digest="d") == Answer([first], repeated=True)
        reused = await on_duty.add("dan", starts="2026-12-01T00:00", key="k", digest="other")
        assert isinstance(reused, Refusal) and reused.code == "key_reused"

    async def test_two_people_swap(self, on_duty: House) -> None:
        swap, request = Swap("bob", "ann"), Request(actor=ANN, reason="birthday", key="s", digest="d")
        answer = await on_duty.standins.swap(request, Role.EOC, swap)
        assert isinstance(answer, Answer)
        assert [(each.person, each.starts, each.ends) for each in answer.overrides] == [
            ("ann", NOON, at("2026-11-30T09:00")),
            ("bob", at("2026-11-30T09:00"), at("2026-12-07T09:00")),
        ]
        assert await on_duty.standins.swap(request, Role.EOC, swap) == Answer(answer.overrides, repeated=True)

    async def test_of_a_shift_that_somebody_has_in_part_the_rest_is_swapped(self, on_duty: House) -> None:
        await on_duty.added("dan", starts="2026-12-15T00:00")
        swap = Swap("bob", "ann", at="2026-12-08T00:00", other_at="2026-12-18T00:00")
        await on_duty.standins.swap(Request(actor=ANN, reason="x"), Role.EOC, swap)
        people = [await on_duty.person(at(f"2026-12-{day}T03:00")) for day in ("08", "15", "16", "18")]
        assert people == ["ann", "dan", "bob", "bob"]

    async def test_when_one_half_of_a_swap_cannot_be_nothing_happens(self, on_duty: House) -> None:
        await on_duty.added("cid", starts="2026-12-01T00:00")
        refusal = await on_duty.standins.swap(Request(actor=ANN, reason="x"), Role.EOC, Swap("bob", "cid"))
        assert isinstance(refusal, Refusal) and refusal.code == "overlap"
        assert await on_duty.person() == "bob"
        assert len(await on_duty.standins.listed(everything=True, before=None, limit=9)) == 1

    async def test_whom_nobody_knows_stands_in_for_nobody(self, on_duty: House) -> None:
        told = await on_duty.add("cidd", starts="x")
        assert isinstance(told, Invalid)
        assert [wrong.pointer for wrong in told.errors] == ["/person", "/starts"]

    async def test_an_override_counts_no_more_when_its_person_is_gone(self, on_duty: House) -> None:
        await on_duty.added()
        on_duty.plan = replace(on_duty.plan, version="v2", people={"bob": Contact("Bob")})
        assert await on_duty.person() == "bob"
        view = await Rota(on_duty.oncall, on_duty.clock).view(NOON, None)
        assert view["warnings"][0] == "OV-1 counts no more: cid or the rotation eoc is not configured"

    async def test_stand_ins_are_listed_newest_first_and_paged(self, on_duty: House) -> None:
        for day in range(5):
            await on_duty.added(starts=f"2026-12-0{day + 1}T00:00")
        await on_duty.end("OV-4")

        async def listed(**given: Any) -> list[str]:
            asked: dict[str, Any] = {"everything": False, "before": None, "limit": 2} | given
            return [item["id"] for item in await on_duty.standins.listed(**asked)]

        assert await listed() == ["OV-5", "OV-3"]
        assert await listed(everything=True) == ["OV-5", "OV-4"]
        assert await listed(before=3) == ["OV-2", "OV-1"]

    async def test_a_calendar_says_who_it_is_once_it_was_read(self, on_duty: House, other_duty: House) -> None:
        assert await on_duty.person(role=Role.CMOC) is None
        told = await on_duty.refreshed()
        assert (told["fetched_at"], told["age_seconds"], told["unknown"]) == (NOON + timedelta(minutes=10), 0, [])
        assert await on_duty.person(role=Role.CMOC) == "cid"
        assert await other_duty.person(role=Role.CMOC) == "cid"
        assert on_duty.source.worked_out == [(b"one", told["known_from"], told["known_until"])]

    async def test_while_its_source_is_away_the_last_good_copy_is_used_and_its_age_told(self, on_duty: House) -> None:
        await on_duty.refreshed()
        told = await on_duty.refreshed(NoFeed("no answer"))
        assert (told["age_seconds"], told["reason"]) == (600, "no answer")
        assert told["failing_since"] == NOON + timedelta(minutes=20)
        again = await on_duty.refreshed(NoFeed("something else"))
        assert (again["age_seconds"], again["failing_since"], again["reason"]) == (1_200, told["failing_since"], "something else")
        assert await on_duty.person(role=Role.CMOC) == "cid"
        assert on_duty.source.shown == [None, "tag-1", "tag-1"]

    async def test_a_source_that_says_unchanged_makes_the_copy_fresh(self, on_duty: House) -> None:
        await on_duty.refreshed()
        await on_duty.refreshed(NoFeed("no answer"))
        told = await on_duty.refreshed(Unchanged())
        assert (told["age_seconds"], told["failing_since"], told["reason"]) == (0, None, None)
        assert await on_duty.person(role=Role.CMOC) == "cid"
        assert len(on_duty.source.worked_out) == 1

    async def test_a_broken_calendar_does_not_take_the_place_of_a_good_one(self, on_duty: House) -> None:
        await on_duty.refreshed()
        on_duty.source.entries[b"broken"] = NoFeed("it is no calendar")
        told = await on_duty.refreshed(Fetched(b"broken", "tag-2"))
        assert (told["age_seconds"], told["reason"]) == (600, "it is no calendar")
        assert await on_duty.person(role=Role.CMOC) == "cid"
        await on_duty.refreshed()
        assert on_duty.source.shown[-1] == "tag-1"

    async def test_one_that_was_never_read_is_told_with_the_reason(self, on_duty: House) -> None:
        assert (await on_duty.feed())["reason"] == "not asked for yet"
        told = await on_duty.refreshed(NoFeed("no answer"))
        assert (told["fetched_at"], told["age_seconds"], told["reason"]) == (None, None, "no answer")
        view = await Rota(on_duty.oncall, on_duty.clock).view(NOON, None)
        assert "the calendar of cmoc has not been read yet: no answer" in view["warnings"]

    async def test_as_time_goes_on_a_copy_is_worked_out_again_although_its_source_is_away(self, on_duty: House) -> None:
        await on_duty.refreshed()
        on_duty.clock.advance(2 * DAY)
        told = await on_duty.refreshed(NoFeed("no answer"))
        now = on_duty.clock.now()
        assert on_duty.source.worked_out[1:] == [(b"one", now - PAST, now + AHEAD)]
        assert (told["known_until"], told["reason"]) == (now + AHEAD, "no answer")

    async def test_the_copy_of_another_calendar_is_not_used(self, on_duty: House) -> None:
        await on_duty.refreshed()
        other = replace(on_duty.plan.feeds["cmoc"], source="another calendar")
        on_duty.plan = replace(on_duty.plan, version="v2", feeds={"cmoc": other})
        assert await on_duty.person(role=Role.CMOC) is None
        told = await on_duty.refreshed(NoFeed("no answer"))
        assert told["fetched_at"] is None
        assert on_duty.source.shown[-1] is None

    async def test_names_are_understood_by_the_configuration_of_now(self, on_duty: House) -> None:
        await on_duty.refreshed()
        changed = replace(on_duty.plan.feeds["cmoc"], whom=Whom.of({}, []))
        on_duty.plan = replace(on_duty.plan, version="v2", feeds={"cmoc": changed})
        assert await on_duty.person(role=Role.CMOC) is None
        assert len((await on_duty.feed())["unknown"]) == 1

    async def test_it_is_asked_for_again_and_again_until_nobody_wants_it(self, on_duty: House) -> None:
        keeper, work = on_duty.keeper, on_duty.keeper.work
        await keeper._put()

        async def claimed() -> list[Claimed]:
            async with on_duty.database.transaction() as connection:
                return await work.claim(connection, FEEDS, 10, on_duty.clock.now())

        (piece,) = await claimed()
        await keeper.round(piece)
        assert await claimed() == []
        on_duty.clock.advance(timedelta(minutes=15))
        (piece,) = await claimed()
        on_duty.plan = replace(on_duty.plan, version="v2", feeds={})
        await keeper.round(piece)
        on_duty.clock.advance(WEEK)
        assert await claimed() == []
        async with on_duty.database.read() as connection:
            found = await feed_store.get(connection, "cmoc")
        assert found is not None and (found[0].entries, found[1]) == ([], None)

    async def test_the_log_says_once_when_a_calendar_fails_and_when_it_works_again(
        self, on_duty: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with heard(monkeypatch, feed_rounds) as lines:
            for says in (Fetched(b"one", "1"), NoFeed("no answer"), NoFeed("no answer"), Unchanged(), Unchanged()):
                await on_duty.refreshed(says)
        assert [(line["event"], line["log_level"], line["rotation"], line.get("reason")) for line in lines] == [
            ("oncall_feed_fails", "warning", "cmoc", "no answer"), ("oncall_feed_works", "info", "cmoc", None),
        ]  # fmt: skip

    async def test_the_log_says_who_takes_over_and_that_nobody_is_there(
        self, on_duty: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with heard(monkeypatch, duty_gauges) as lines:
            await on_duty.gauges.look()  # the calendar of cmoc was not asked for yet, so nothing is said of it
            await on_duty.refreshed()
            await on_duty.gauges.look()
            on_duty.clock.advance(DAY)
            await on_duty.gauges.look()
            await on_duty.added("dan")
            await on_duty.gauges.look()
        assert [(line["event"], line["rotation"], line.get("person"), line.get("by")) for line in lines] == [
            ("oncall_now", "eoc", "bob", "layer"),
            ("oncall_now", "cmoc", "cid", None),
            ("oncall_nobody", "cmoc", None, None),
            ("oncall_now", "eoc", "dan", "OV-1"),
        ]

    async def test_the_gauges_tell_ages_and_gaps(self, on_duty: House) -> None:
        def shown(name: str, rotation: str) -> float | None:
            return on_duty.registry.get_sample_value(f"tocsin_oncall_{name}_seconds", {"rotation": rotation})

        await on_duty.gauges.look()
        assert (shown("feed_age", "cmoc"), shown("gap", "cmoc"), shown("gap", "eoc")) == (float("inf"), WEEK.total_seconds(), 0)
        await on_duty.refreshed()
        on_duty.clock.advance(HOUR)
        await on_duty.gauges.look()
        assert shown("feed_age", "cmoc") == HOUR.total_seconds()
        assert shown("gap", "cmoc") == (WEEK - DAY + HOUR + timedelta(minutes=10)).total_seconds()
        on_duty.plan = Plan("v2", on_duty.plan.rotations[:1], {}, on_duty.plan.people)
        await on_duty.gauges.look()
        assert (shown("feed_age", "cmoc"), shown("gap", "cmoc"), shown("gap", "eoc")) == (None, None, 0)
