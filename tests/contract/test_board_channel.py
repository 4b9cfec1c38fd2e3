"""The board as a channel. It leads to our own database, so the faults of a network in `channel_contract` do not apply to it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.notifier.channels.board import BoardChannel
from services.notifier.domain.content import Content
from services.notifier.ports import Address, Gone
from services.notifier.store.board import BoardStore
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.contract.channel_contract import a_content
from tests.support.postgres import PostgresServer

START = datetime(2026, 3, 1, 3, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notifier.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
async def board(url: str) -> AsyncIterator[BoardStore]:
    database = Database(url, "notifier")
    await migrate(database, "services.notifier.store.migrations")
    yield BoardStore(database, ManualClock(START))
    await database.stop()


@pytest.fixture
def channel(board: BoardStore) -> BoardChannel:
    return BoardChannel(board, "http://tocsin.test")


async def post(channel: BoardChannel, delivery: str, thread: Address | None = None, content: Content | None = None) -> Address:
    return await channel.post("board", content or a_content(), delivery=delivery, thread=thread)


async def find(channel: BoardChannel, delivery: str, thread: Address | None = None) -> Address | None:
    return await channel.find("board", delivery=delivery, since=START, thread=thread)


async def test_what_was_posted_is_edited_in_place_and_found(channel: BoardChannel, board: BoardStore) -> None:
    address = await post(channel, "d-1")
    edited = await channel.edit(address, a_content("second"), delivery="d-2")
    [message] = await board.newest(10)
    assert message.content.headline == "second"
    assert [address, address] == [edited, await find(channel, "d-2")]


async def test_doing_it_twice_is_the_same_as_once(channel: BoardChannel, board: BoardStore) -> None:
    first, again = await post(channel, "d-1"), await post(channel, "d-1")
    for _ in range(2):
        await channel.edit(first, a_content("second"), delivery="d-2")
    assert (first, 1) == (again, len(await board.newest(10)))


async def test_a_reply_is_found_in_its_thread_only(channel: BoardChannel, board: BoardStore) -> None:
    root = await post(channel, "d-1")
    reply = await post(channel, "d-2", root, a_content("reply"))
    assert await find(channel, "d-2", root) == reply
    assert await find(channel, "d-2") is None
    [message] = await board.newest(10)
    assert [each.content.headline for each in message.replies] == ["reply"]


async def test_only_the_newest_replies_are_shown_in_order(channel: BoardChannel, board: BoardStore) -> None:
    root = await post(channel, "d-0")
    for n in range(1, 26):
        await post(channel, f"d-{n}", root, a_content(f"{n}"))
    [message] = await board.newest(10)
    assert [str(n) for n in range(6, 26)] == [each.content.headline for each in message.replies]


async def test_what_was_never_posted_is_not_found(channel: BoardChannel) -> None:
    assert await find(channel, "d-1") is None


async def test_editing_or_answering_what_is_not_there_says_so(channel: BoardChannel) -> None:
    nowhere = Address({"id": "d-9"})
    with pytest.raises(Gone):
        await channel.edit(nowhere, a_content(), delivery="d-1")
    with pytest.raises(Gone):
        await post(channel, "d-1", nowhere)


async def test_any_text_is_kept_as_it_is(channel: BoardChannel, board: BoardStore) -> None:
    hostile = "\x00 <b> \u202e 'quoted' {{ 7*7 }}"
    await post(channel, "d-1", content=a_content(hostile))
    assert [hostile] == [each.content.headline for each in await board.newest(10)]


async def test_it_works_when_its_database_does(channel: BoardChannel) -> None:
    assert await channel.check("board") is None
