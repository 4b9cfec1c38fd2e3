"""What merging and splitting leave in the store, whichever database it stands on.

A subclass gives the fixture `empty`: a database without tables.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import AlertCounts, Incident
from schemas.vocabulary import FiringState, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.deciding.ledger import Outcome, Turn
from services.orchestrator.domain.deciding.splitting import Wish
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.handlers.archive import PolicyArchive
from services.orchestrator.handlers.commands import Answer, Commands, Request
from services.orchestrator.handlers.decider import Decider, Surroundings
from services.orchestrator.handlers.journal import Journal
from services.orchestrator.handlers.regrouping import Regrouping
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.store import firings, incidents, keys, tables, turns
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.outbox import Outbox
from services.runtime.work import Work
from tests.builders import ANN, NOW, POLICY, an_alert, minutes, resolved
from tests.support.memory_bus import MemoryBus

WEB, DB = "service=web,env=gprd", "service=db,env=gprd"


class Town:
    """The orchestrator on a database, with a clock that stands still."""

    def __init__(self, database: Database, archive: PolicyArchive | None = None) -> None:
        async def windows(_: AsyncConnection) -> Sequence[Maintenance]:
            return ()

        self.database, self.clock = database, ManualClock(NOW)
        registry = CollectorRegistry()
        outbox = Outbox("orchestrator", tables.outbox, database, MemoryBus(), RuntimeMetrics(registry))
        journal = Journal(outbox, Work(tables.work))
        self.policy = POLICY
        self._decider = Decider(journal, Surroundings(lambda: self.policy, windows, dict), self.clock, archive)
        self.commands = Commands(database, journal, lambda: POLICY, self.clock, OrchestratorMetrics(registry))
        self.regrouping = Regrouping(self.commands, journal, lambda: POLICY)

    async def take(self, *alerts: Any) -> Outcome:
        async with self.database.transaction(serial=True) as connection:
            return await self._decider.decide(connection, alerts)

    async def order(self, name: str, command: ask.Command) -> Incident:
        return done(await self.commands.execute(name, command, Request(ANN, "because")))

    async def merge(self, name: str, into: str, reason: str = "same cause") -> Incident:
        return done(await self.regrouping.merge(name, into, Request(ANN, reason)))

    async def split(self, name: str, *alerts: Any, **given: Any) -> Incident:
        wish = Wish(tuple(alert.fingerprint for alert in alerts), **given)
        return done(await self.regrouping.split(name, wish, Request(ANN, "another cause")))

    async def incident(self, name: str) -> Incident:
        async with self.database.read() as connection:
            found = await incidents.get(connection, name)
        assert found
        return found

    async def of(self, name: str) -> list[Firing]:
        async with self.database.read() as connection:
            return await firings.first(connection, name, 20_000)

    async def holders(self, *wanted: str) -> dict[str, str]:
        async with self.database.read() as connection:
            return (await keys.load(connection, wanted))[0]

    async def turns(self, *numbers: int) -> dict[int, list[Turn]]:
        async with self.database.read() as connection:
            return await turns.of(connection, numbers)

    async def timers(self) -> list[str]:
        async with self.database.read() as connection:
            return list((await connection.execute(select(tables.work.c.key).order_by(tables.work.c.key))).scalars())

    async def texts(self, name: str) -> list[str]:
        async with self.database.read() as connection:
            return [line["text"] for line in await incidents.timeline(connection, name, 0, 100)]


def done(answer: Answer | Refusal) -> Incident:
    assert not isinstance(answer, Refusal), answer
    return answer.incident


def counted(found: Sequence[Firing]) -> AlertCounts:
    """What an incident with these firings has to count."""
    states = [firing.state for firing in found]
    return AlertCounts(
        firing=states.count(FiringState.FIRING),
        muted=states.count(FiringState.MUTED),
        stale=states.count(FiringState.STALE),
        resolved=states.count(FiringState.RESOLVED),
        gating=sum(firing.gating and firing.ends_at is None for firing in found),
    )


class RegroupContract:
    """Merges and splits."""

    @pytest.fixture
    async def town(self, empty: Database) -> Town:
        """INC-1 (web) has one alert that fires, INC-2 (db) two that fire and one that is over."""
        await migrate(empty, "services.orchestrator.store.migrations")
        town = Town(empty)
        over = an_alert("DbGone", service="db", severity="s2")
        await town.take(
            an_alert(severity="s2"),
            an_alert("DbDown", service="db"),
            an_alert("DbSlow", service="db", severity="s4"),
            over,
            resolved(over, NOW + minutes(1)),
        )
        return town

    async def test_all_firings_and_keys_of_the_source_belong_to_the_target(self, town: Town) -> None:
        target = await town.merge("INC-2", "INC-1")
        assert (target.id, target.alerts) == ("INC-1", AlertCounts(firing=3, resolved=1, gating=2))
        assert target.alerts == counted(await town.of("INC-1"))
        assert await town.of("INC-2") == []
        assert await town.holders(WEB, DB) == {WEB: "INC-1", DB: "INC-1"}
        source = await town.incident("INC-2")
        assert (source.state, source.merged_into, source.alerts) == (IncidentState.MERGED, "INC-1", AlertCounts())
        assert (await town.texts("INC-2"))[-1] == "Merged into INC-1"
        assert (await town.texts("INC-1"))[1:] == ["INC-2 merged into this, with 2 alerts not over", "Severity S2 → S1"]

    async def test_what_is_not_over_is_told_that_it_moved_and_its_decision_stands(self, town: Town) -> None:
        await town.merge("INC-2", "INC-1", "same\ncause")
        moved = Turn(2, NOW, "moved", "INC-1", "INC-2 was merged into INC-1 by ann: same cause")
        assert await town.turns(1, 2, 3, 4) == {2: [moved], 3: [replace(moved, seq=3)]}
        decisions = {firing.decision.seq: firing.decision.incident for firing in await town.of("INC-1") if firing.decision}
        assert decisions == {1: "INC-1", 2: "INC-2", 3: "INC-2", 4: "INC-2"}

    async def test_later_alerts_of_the_merged_key_go_to_the_target(self, town: Town) -> None:
        await town.merge("INC-2", "INC-1")
        outcome = await town.take(an_alert("DbWorse", service="db"), resolved(an_alert("DbDown", service="db"), NOW + minutes(1)))
        assert [firing.incident for firing in outcome.began] == ["INC-1"]
        target = await town.incident("INC-1")
        assert target.alerts == AlertCounts(firing=3, resolved=2, gating=2)
        assert target.alerts == counted(await town.of("INC-1"))
        assert (await town.incident("INC-2")).version == 4

    async def test_a_refire_of_a_merged_key_reopens_the_target(self, town: Town) -> None:
        await town.merge("INC-2", "INC-1")
        await town.order("INC-1", ask.Move(Step.RESOLVE))
        town.clock.advance(minutes(5))
        outcome = await town.take(an_alert("DbWorse", service="db", starts_at=NOW + minutes(5)))
        assert [firing.incident for firing in outcome.began] == ["INC-1"]
        assert (await town.incident("INC-1")).state is IncidentState.ACTIVE

    async def test_a_merged_key_does_not_reopen_what_another_incident_has_followed(self, town: Town) -> None:
        await town.merge("INC-2", "INC-1")
        await town.order("INC-1", ask.Move(Step.RESOLVE))
        town.clock.advance(minutes(40))
        await town.take(an_alert("WebNew", starts_at=NOW + minutes(40)))
        town.policy = replace(POLICY, refire_window=minutes(60))
        outcome = await town.take(an_alert("DbNew", service="db", starts_at=NOW + minutes(40)))
        assert [(firing.incident, firing.decision and firing.decision.rule) for firing in outcome.began] == [
            ("INC-4", "open-s1-s2")
        ]
        assert await town.holders(WEB, DB) == {WEB: "INC-3", DB: "INC-4"}

    async def test_the_sources_timer_is_cancelled_and_the_target_waits_for_what_it_now_has(self, town: Town) -> None:
        await town.take(
            *(
                resolved(an_alert(name, service="db", severity=severity), NOW)
                for name, severity in (("DbDown", "s1"), ("DbSlow", "s4"))
            )
        )
        assert await town.timers() == ["INC-2"]
        await town.merge("INC-2", "INC-1")
        assert await town.timers() == []
        await town.take(resolved(an_alert(severity="s2"), NOW))
        assert await town.timers() == ["INC-1"]

    async def test_what_was_merged_can_be_merged_on(self, town: Town) -> None:
        await town.take(an_alert("Api", service="api"))
        await town.merge("INC-2", "INC-1")
        await town.merge("INC-1", "INC-3")
        assert len(await town.of("INC-3")) == 5
        assert set((await town.holders(WEB, DB, "service=api,env=gprd")).values()) == {"INC-3"}

    async def test_a_refused_merge_changes_nothing(self, town: Town) -> None:
        await town.order("INC-1", ask.Move(Step.RESOLVE))
        before = [await town.incident(name) for name in ("INC-1", "INC-2")]
        for name, into, code in (
            ("INC-2", "INC-1", "illegal_transition"),
            ("INC-1", "INC-2", "illegal_transition"),
            ("INC-2", "INC-2", "illegal_transition"),
            ("INC-9", "INC-2", "not_found"),
            ("INC-2", "INC-9", "not_found"),
        ):
            answer = await town.regrouping.merge(name, into, Request(ANN, "because"))
            assert isinstance(answer, Refusal)
            assert answer.code == code
        assert [await town.incident(name) for name in ("INC-1", "INC-2")] == before
        assert (len(await town.of("INC-1")), len(await town.of("INC-2"))) == (1, 3)
        assert await town.holders(WEB, DB) == {WEB: "INC-1", DB: "INC-2"}

    async def test_ten_thousand_firings_are_merged_within_two_seconds(self, town: Town) -> None:
        await town.take(*(an_alert(service="db", instance=f"db-{number}") for number in range(10_000)))
        began = time.perf_counter()
        target = await town.merge("INC-2", "INC-1")
        assert time.perf_counter() - began < 2
        assert (target.alerts.firing, target.alerts.gating) == (10_003, 10_002)
        assert len(await town.turns(*range(1, 500))) == 497

    async def test_the_alerts_of_a_split_belong_to_the_new_incident(self, town: Town) -> None:
        slow, gone = an_alert("DbSlow", service="db", severity="s4"), an_alert("DbDown", service="db")
        new = await town.split("INC-2", slow, title="The index", severity=Severity.S3)
        assert (new.id, new.title, new.severity, new.alerts) == ("INC-3", "The index", Severity.S3, AlertCounts(firing=1))
        assert new.reason == "split from INC-2: another cause"
        source = await town.incident("INC-2")
        assert (source.alerts, source.alert_severity) == (AlertCounts(firing=1, resolved=1, gating=1), Severity.S1)
        for incident in (new, source):
            assert incident.alerts == counted(await town.of(incident.id))
        assert await town.turns(3) == {3: [Turn(3, NOW, "moved", "INC-3", "split out of INC-2 by ann: another cause")]}
        assert await town.holders(DB, f"fingerprint:{slow.fingerprint}", f"fingerprint:{gone.fingerprint}") == {
            DB: "INC-2",
            f"fingerprint:{slow.fingerprint}": "INC-3",
        }
        assert (await town.texts("INC-2"))[-1] == "1 alert split out into INC-3: DbSlow"
        assert await town.texts("INC-3") == ["Split from INC-2 as S3: The index"]

    async def test_what_is_left_is_as_bad_as_what_stays(self, town: Town) -> None:
        await town.split("INC-2", an_alert("DbDown", service="db"))
        source = await town.incident("INC-2")
        assert (source.alerts, source.alert_severity) == (AlertCounts(firing=1, resolved=1), Severity.S2)
        assert (source.quiet_since, await town.timers()) == (NOW, ["INC-2"])

    async def test_a_split_alert_comes_back_to_its_incident_while_that_is_open(self, town: Town) -> None:
        slow = an_alert("DbSlow", service="db", severity="s4")
        await town.split("INC-2", slow)
        await town.take(resolved(slow, NOW + minutes(1)))
        again = slow.model_copy(update={"starts_at": NOW + minutes(2)})
        assert [firing.incident for firing in (await town.take(again)).began] == ["INC-3"]
        await town.take(resolved(again, NOW + minutes(3)))
        await town.order("INC-3", ask.Move(Step.RESOLVE))
        again = slow.model_copy(update={"starts_at": NOW + minutes(4)})
        assert [firing.incident for firing in (await town.take(again)).began] == ["INC-2"]

    async def test_a_key_goes_with_the_last_of_its_alerts(self, town: Town) -> None:
        await town.merge("INC-2", "INC-1")
        db = [an_alert("DbDown", service="db"), an_alert("DbSlow", service="db", severity="s4")]
        first = await town.split("INC-1", db[0])
        assert (first.correlation_key, (await town.holders(DB))[DB]) == (None, "INC-1")
        second = await town.split("INC-1", db[1])
        assert (second.correlation_key, (await town.holders(DB))[DB]) == (DB, "INC-4")
        outcome = await town.take(an_alert("DbNew", service="db"), an_alert("WebNew"))
        assert [firing.incident for firing in outcome.began] == ["INC-4", "INC-1"]

    async def test_a_split_can_be_taken_back(self, town: Town) -> None:
        slow = an_alert("DbSlow", service="db", severity="s4")
        before = await town.incident("INC-2")
        await town.split("INC-2", slow)
        after = await town.merge("INC-3", "INC-2")
        assert (after.alerts, after.alert_severity) == (before.alerts, before.alert_severity)
        assert (await town.holders(f"fingerprint:{slow.fingerprint}")).popitem()[1] == "INC-2"

    async def test_a_refused_split_changes_nothing(self, town: Town) -> None:
        down, web = an_alert("DbDown", service="db"), an_alert(severity="s2")
        gone = an_alert("DbGone", service="db", severity="s2")
        before = [await town.incident(name) for name in ("INC-1", "INC-2")]
        for name, alerts, said in (
            ("INC-1", [web], "At least one alert must stay"),
            ("INC-2", [down, web], "it belongs to INC-1"),
            ("INC-2", [gone], "is over"),
            ("INC-2", [an_alert("Nobody")], "is no alert of INC-2"),
            ("INC-9", [down], "There is no incident INC-9"),
        ):
            wish = Wish(tuple(alert.fingerprint for alert in alerts))
            answer = await town.regrouping.split(name, wish, Request(ANN, "because"))
            assert isinstance(answer, Refusal)
            assert said in answer.detail
        assert [await town.incident(name) for name in ("INC-1", "INC-2")] == before
        assert (len(await town.of("INC-1")), len(await town.of("INC-2")), await town.turns(1, 2, 3, 4)) == (1, 3, {})

    async def test_what_is_over_may_be_what_stays_but_not_an_earlier_firing_of_the_same_alert(self, town: Town) -> None:
        web = an_alert(severity="s2")
        await town.take(resolved(web, NOW + minutes(1)))
        again = web.model_copy(update={"starts_at": NOW + minutes(2)})
        await town.take(again)
        answer = await town.regrouping.split("INC-1", Wish((web.fingerprint,)), Request(ANN, "because"))
        assert isinstance(answer, Refusal)
        new = await town.split("INC-2", an_alert("DbDown", service="db"), an_alert("DbSlow", service="db", severity="s4"))
        assert (await town.incident("INC-2")).alerts == AlertCounts(resolved=1)
        assert new.alerts == AlertCounts(firing=2, gating=1)

    async def test_a_wish_is_carried_out_once_under_its_key_and_only_on_what_was_looked_at(self, town: Town) -> None:
        outdated = await town.regrouping.merge("INC-2", "INC-1", Request(ANN, "because", if_match='"x"'))
        assert isinstance(outdated, Refusal)
        assert outdated.code == "precondition_failed"
        request = Request(ANN, "because", key="k1", digest="merge")
        first, again = [await town.regrouping.merge("INC-2", "INC-1", request) for _ in range(2)]
        assert isinstance(again, Answer)
        assert (done(first), again.incident.id, again.repeated) == (again.incident, "INC-1", True)
