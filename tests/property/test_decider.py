"""What the handlers decide on a database, as late as they like, is what a simulation decides in time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from services.orchestrator.domain.policy.policy import Policy
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.support.desk import Desk
from tests.support.histories import Delivery, Story, histories, play, policies
from tests.support.office import Office


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[asyncio.Runner]:
    """One event loop for all examples, and in it a database."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def database(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("decider") / "tocsin.db"
    database = Database(f"sqlite:///{path}", "test")
    runner.run(migrate(database, "services.orchestrator.store.migrations"))
    yield database
    runner.run(database.stop())


async def play_late(history: Story, office: Office) -> None:
    """Nothing is done in between: what was due is done with the next batch. People see what is due done."""
    for step in history:
        if isinstance(step, Delivery):
            await office.take(*step.alerts, now=step.now)
        elif names := list(await office.incidents()):
            name = names[step.number % len(names)]
            await office.look([name], step.now)
            await office.ask(name, step.command, step.now)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy=policies(), history=histories())
def test_what_is_decided_late_on_a_database_is_what_is_decided_in_time_in_memory(
    runner: asyncio.Runner, database: Database, policy: Policy, history: Story
) -> None:
    desk, office = Desk(policy), Office(database, policy)
    play(history, desk)
    end = max(step.now for step in history)
    desk.tick(end)

    async def late() -> None:
        await office.empty()
        await play_late(history, office)
        await office.look(list(await office.incidents()), end)
        firings = await office.firings()
        assert [firing.decision for firing in firings.values()] == [desk.firings[number].decision for number in firings]
        assert firings == desk.firings
        assert await office.turns() == desk.turns_of()
        assert await office.incidents() == desk.incidents

    runner.run(late())
