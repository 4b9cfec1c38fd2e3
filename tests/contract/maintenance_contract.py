"""What is planned by hand, whichever database it stands in: stored, shown, ended, and seen by decisions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event, text

from schemas.alerts import AlertReceived
from schemas.incidents import Actor
from schemas.vocabulary import Action, ActorKind
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance, Planned
from services.orchestrator.domain.deciding.ledger import Outcome
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers.commands import Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.handlers.maintenance import Answer, Planner
from services.orchestrator.handlers.windows import Windows
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import firings, tables
from services.orchestrator.store import maintenance as store
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.outbox import Outbox
from services.runtime.work import Work
from services.windows import Window
from tests.builders import ANN, NOW, POLICY, an_alert, minutes
from tests.support.memory_bus import MemoryBus

HOSTILE = "\u202e😀 ﷽ '\";-- $1 :x %s \u2028"
HOUR = timedelta(hours=1)
OF_FILE = Maintenance("file:nightly", "nightly", selector(['env="lab"']), Window.parse(starts=NOW, duration=HOUR))
WITH_FILE = replace(POLICY, maintenance=(OF_FILE,))


def hours(starts: float, lasts: float, **more: Any) -> Window:
    return Window.parse(starts=NOW + HOUR * starts, duration=HOUR * lasts, **more)


@dataclass
class House:
    """The orchestrator's handlers as one process has them, at a clock that stands."""

    database: Database
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        metrics = RuntimeMetrics(CollectorRegistry())
        metrics.declare("test", (), ())
        outbox = Outbox("test", tables.outbox, self.database, MemoryBus(), metrics)
        self.journal = Journal(outbox, Work(tables.work))
        counted = OrchestratorMetrics(CollectorRegistry())
        self.planner = Planner(self.database, self.journal, lambda: [OF_FILE], self.clock, counted)
        self.windows = Windows(self.clock)

    async def plan(self, window: Window, *match: str, name: str = "upgrade", **more: Any) -> Planned:
        request = Request(actor=ANN, reason="new disks", **more)
        answer = await self.planner.add(request, name, selector(match or ['service="db"']), window)
        assert isinstance(answer, Answer), answer
        return answer.planned

    async def end(self, name: str, **more: Any) -> Answer | Refusal:
        return await self.planner.end(Request(actor=Actor(kind=ActorKind.PERSON, name="bob"), reason="all done", **more), name)

    async def current(self) -> list[str]:
        async with self.database.transaction(serial=True) as connection:
            return [plan.id for plan in await self.windows.planned(connection)]

    async def decide(self, *alerts: AlertReceived) -> Outcome:
        decider = Decider(self.journal, Surroundings(lambda: WITH_FILE, self.windows.planned, dict), self.clock)
        async with self.database.transaction(serial=True) as connection:
            return await decider.decide(connection, alerts)

    async def recheck_at(self) -> datetime | None:
        async with self.database.read() as connection:
            return await firings.next_due(connection)


class MaintenanceContract:
    """Beside the fixtures of the database contract."""

    @pytest.fixture
    async def house(self, empty: Database) -> House:
        await migrate(empty, "services.orchestrator.store.migrations")
        return House(empty)

    @pytest.fixture
    async def other(self, house: House, empty_neighbour: Database) -> AsyncIterator[House]:
        """The same database, as another worker has it."""
        yield House(empty_neighbour, house.clock)

    async def test_what_is_planned_comes_back_as_it_was(self, house: House) -> None:
        window = hours(1, 2.5, zone="Europe/Berlin", rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=3")
        planned = await house.plan(window, 'service="db"', f'note=~"{HOSTILE[:5]}.*"', name=HOSTILE)
        assert planned.maintenance.id == "MW-1"
        assert planned.maintenance.by == "ann"
        async with house.database.read() as connection:
            assert await store.get(connection, "MW-1") == planned
            assert await store.get(connection, "MW-2") is None

    async def test_numbers_have_no_gap(self, house: House, other: House) -> None:
        plans = await asyncio.gather(*(on.plan(hours(1, 1)) for _ in range(5) for on in (house, other)))
        assert sorted(plan.number for plan in plans) == list(range(1, 11))

    async def test_live_is_what_holds_or_will_hold(self, house: House) -> None:
        await house.plan(hours(-2, 3), name="holds")
        await house.plan(hours(-2, 1), name="is over")
        await house.plan(hours(5, 1), name="will hold")
        await house.plan(hours(-9, 1, rrule="FREQ=DAILY"), name="comes again")
        await house.plan(hours(-2, 3), name="ended")
        await house.end("MW-5")
        async with house.database.read() as connection:
            live = [plan.maintenance.name for plan in await store.live(connection, NOW)]
        assert live == ["comes again", "will hold", "holds"]

    async def test_lists_are_newest_first_and_paged(self, house: House) -> None:
        for number in range(5):
            await house.plan(hours(number - 2.5, 1))

        async def listed(**given: Any) -> list[str]:
            asked: dict[str, Any] = {"active": False, "everything": False, "before": None, "limit": 2} | given
            return [item["id"] for item in await house.planner.planned(**asked)]

        assert await listed() == ["MW-5", "MW-4"]
        assert await listed(before=4) == ["MW-3"]
        assert await listed(before=4, everything=True) == ["MW-3", "MW-2"]
        house.clock.advance(minutes(45))
        assert await listed(active=True) == ["MW-4"]
        assert await listed(active=True, before=4) == []

    async def test_what_is_shown_tells_what_holds_and_what_comes(self, house: House) -> None:
        await house.plan(hours(0, 1, rrule="FREQ=DAILY"))
        (item,) = await house.planner.planned(active=True, everything=False, before=None, limit=5)
        assert {key: item[key] for key in ("state", "active_until", "next", "over_at", "duration", "match", "starts", "by")} == {
            "state": "active", "active_until": NOW + HOUR, "next": NOW + 24 * HOUR, "over_at": None, "duration": "1h",
            "match": ['service="db"'], "starts": "2026-11-23T03:12:00", "by": "ann",
        }  # fmt: skip

    async def test_decisions_see_what_any_worker_changed(self, house: House, other: House) -> None:
        assert await house.current() == []
        await other.plan(hours(0, 1))
        assert await house.current() == ["MW-1"]
        await house.plan(hours(2, 1))
        assert await other.current() == ["MW-2", "MW-1"]
        await other.end("MW-1")
        assert await house.current() == ["MW-2"]

    async def test_what_was_rolled_back_is_never_seen(self, house: House) -> None:
        planned = await house.plan(hours(0, 1))
        with pytest.raises(LookupError):
            async with house.database.transaction(serial=True) as connection:
                twin = replace(planned.maintenance, id="MW-2", name="never")
                await store.add(connection, replace(planned, maintenance=twin, number=2))
                raise LookupError
        assert await house.current() == ["MW-1"]
        assert (await house.plan(hours(0, 1))).number == 2
        assert await house.current() == ["MW-2", "MW-1"]

    async def test_one_query_tells_that_nothing_has_changed(self, house: House) -> None:
        await house.plan(hours(0, 1))
        await house.current()
        asked: list[str] = []
        engine = house.database._writer.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        await house.current()
        assert [statement for statement in asked if "FROM maintenance" in statement] == asked[-1:]

    async def test_one_that_cannot_be_read_keeps_nobody_from_deciding(self, house: House) -> None:
        await house.plan(hours(0, 1))
        await house.plan(hours(0, 1))
        async with house.database.transaction() as connection:
            await connection.execute(text("UPDATE maintenance SET zone = 'Mars/Olympus_Mons' WHERE number = 1"))
        assert await house.current() == ["MW-2"]

    async def test_the_end_says_who_and_why(self, house: House) -> None:
        await house.plan(hours(-1, 5))
        answer = await house.end("MW-1")
        assert isinstance(answer, Answer)
        async with house.database.read() as connection:
            stored = await store.get(connection, "MW-1")
        assert stored == answer.planned
        assert (stored.ended_at, stored.ended_by, stored.end_reason, stored.over_at()) == (NOW, "bob", "all done", NOW)

    @pytest.mark.parametrize(
        ("name", "code", "said"),
        [
            ("MW-9", "not_found", "no maintenance MW-9"),
            ("file:nightly", "illegal_transition", "stands in the configuration"),
            ("file:unknown", "not_found", "'unknown'"),
            ("MW-1", "illegal_transition", "ended by bob at 2026-11-23 03:12 UTC: all done"),
            ("MW-2", "illegal_transition", "over since 2026-11-23 02:12 UTC"),
        ],
    )
    async def test_what_cannot_be_ended_is_said_in_words(self, house: House, name: str, code: str, said: str) -> None:
        await house.plan(hours(0, 1))
        await house.end("MW-1")
        await house.plan(hours(-2, 1))
        refusal = await house.end(name)
        assert isinstance(refusal, Refusal)
        assert refusal.code == code
        assert said in refusal.detail

    async def test_a_repeat_under_the_same_key_does_nothing_twice(self, house: House) -> None:
        first = await house.plan(hours(0, 1), key="k", digest="d")
        assert await house.plan(hours(0, 1), key="k", digest="d") == first
        request = Request(actor=ANN, reason="other", key="k", digest="another")
        other = await house.planner.add(request, "other", selector(['a="b"']), hours(0, 1))
        assert isinstance(other, Refusal)
        assert other.code == "key_reused"
        for repeated in (False, True):
            ended = await house.end("MW-1", key="e", digest="d")
            assert isinstance(ended, Answer)
            assert ended.repeated is repeated

    async def test_what_fires_in_it_is_recorded_and_opens_when_it_is_ended(self, house: House) -> None:
        await house.plan(hours(-1, 5))
        outcome = await house.decide(an_alert(service="db"), an_alert(service="web"))
        found = {firing.labels["service"]: firing.decision for firing in outcome.began}
        db, web = found["db"], found["web"]
        assert db and web
        assert (db.action, db.rule, db.incident, web.action) == (Action.RECORD, "maintenance", None, Action.OPEN)
        assert "upgrade" in db.reason
        assert await house.recheck_at() == NOW + 4 * HOUR
        house.clock.advance(minutes(30))
        await house.end("MW-1")
        assert await house.recheck_at() == NOW + minutes(30)
        later = await house.decide()
        assert [event.incident.title for event in later.events] != []
        assert [firing.incident for firing in later.changed if firing.labels["service"] == "db"] == ["INC-2"]

    async def test_what_outlives_it_is_decided_anew_at_its_end(self, house: House) -> None:
        await house.plan(hours(-1, 2))
        await house.decide(an_alert(service="db"))
        house.clock.advance(HOUR - timedelta(seconds=1))
        assert (await house.decide()).events == []
        house.clock.advance(timedelta(seconds=1))
        assert [event.incident.id for event in (await house.decide()).events] == ["INC-1"]
