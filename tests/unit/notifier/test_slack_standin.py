"""The stand-in refuses what Slack refuses; a stand-in that takes everything would prove nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.slack import SlackServer


class Caller:
    """Calls the stand-in as Slack's documentation says, without any SDK."""

    def __init__(self, server: SlackServer, session: aiohttp.ClientSession) -> None:
        self.server, self._session = server, session

    async def __call__(self, method: str, *, token: str | None = None, **args: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token or self.server.token}"}
        async with self._session.post(self.server.url + method, json=args, headers=headers) as answer:
            return {"status": answer.status, "retry": answer.headers.get("Retry-After"), **await answer.json()}

    async def error(self, method: str, **args: Any) -> Any:
        return (await self(method, **args)).get("error")

    async def get(self, path: str) -> Any:
        async with self._session.get(self.server.url.replace("/api/", path)) as answer:
            return await answer.json()

    async def form(self, method: str, **args: str) -> Any:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        async with self._session.post(self.server.url + method, data=args, headers=headers) as answer:
            return await answer.json()


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    async with SlackServer() as server, aiohttp.ClientSession() as session:
        yield Caller(server, session)


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text}}


async def test_a_wrong_token_is_refused(call: Caller) -> None:
    assert await call.error("auth.test", token="xoxb-wrong") == "invalid_auth"
    async with aiohttp.ClientSession() as session, session.post(call.server.url + "auth.test") as answer:
        assert (await answer.json())["error"] == "not_authed"
    assert (await call("auth.test"))["user_id"] == "U0TOCSIN"


@pytest.mark.parametrize(
    ("word", "blocks"),
    [
        ("invalid_blocks", [section("x")] * 51),
        ("invalid_blocks", [section("x" * 3001)]),
        ("invalid_blocks", [section("🔥" * 1501)]),
        ("invalid_blocks", [section("")]),
        ("invalid_blocks", [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]),
        ("invalid_blocks", [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]),
        ("invalid_blocks", [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}]),
        ("invalid_blocks", [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}]),
        ("invalid_blocks", [{"type": "context", "elements": []}]),
        ("invalid_blocks", [{"type": "section"}]),
        ("invalid_blocks", [{"type": "surprise"}]),
        ("msg_blocks_too_long", [section("x" * 2900)] * 5),
        (None, [section("x" * 2900)] * 4),
        (None, [section("x")] * 50),
    ],
)
async def test_blocks_beyond_the_limits_are_refused(call: Caller, word: str | None, blocks: list[Any]) -> None:
    assert word == await call.error("chat.postMessage", channel="incidents", text="x", blocks=blocks)
    assert (word is None) == bool(call.server.messages())


async def test_text_must_be_there_and_not_too_long(call: Caller) -> None:
    assert await call.error("chat.postMessage", channel="incidents", text="") == "no_text"
    assert await call.error("chat.postMessage", channel="incidents", text="x" * 40_001) == "msg_too_long"
    assert (
        await call.error("chat.postMessage", channel="incidents", text="x", metadata={"event_type": "no payload"})
        == "invalid_metadata_format"
    )


async def test_channels_are_known_by_id_and_only_for_posting_by_name(call: Caller) -> None:
    assert await call.error("chat.postMessage", channel="#nowhere", text="x") == "channel_not_found"
    posted = await call("chat.postMessage", channel="#incidents", text="x")
    assert posted["channel"] == "C0INCIDENTS"
    assert await call.error("chat.update", channel="#incidents", ts=posted["ts"], text="y") == "channel_not_found"
    assert await call.error("conversations.history", channel="#incidents") == "channel_not_found"
    assert await call.error("conversations.info", channel="incidents") == "channel_not_found"


async def test_a_closed_or_strange_channel_takes_no_message(call: Caller) -> None:
    room = call.server.room("C0INCIDENTS")
    room.member = False
    assert await call.error("chat.postMessage", channel="C0INCIDENTS", text="x") == "not_in_channel"
    room.archived = True
    assert await call.error("chat.postMessage", channel="C0INCIDENTS", text="x") == "is_archived"


async def test_a_second_post_within_the_rate_is_told_to_wait(call: Caller) -> None:
    call.server.rate = 60
    assert (await call("chat.postMessage", channel="incidents", text="x"))["ok"]
    second = await call("chat.postMessage", channel="incidents", text="y")
    assert (second["status"], second["retry"], second["error"]) == (429, "1", "ratelimited")
    assert (await call("chat.postMessage", channel="random", text="y"))["ok"]
    assert len(call.server.messages()) == 1


async def test_messages_that_do_not_exist_are_neither_edited_nor_answered(call: Caller) -> None:
    assert await call.error("chat.update", channel="C0INCIDENTS", ts="1.0", text="x") == "message_not_found"
    assert await call.error("conversations.replies", channel="C0INCIDENTS", ts="1.0") == "thread_not_found"


async def test_replies_are_in_their_thread_and_not_in_the_history(call: Caller) -> None:
    root = await call("chat.postMessage", channel="incidents", text="root")
    await call("chat.postMessage", channel="incidents", text="reply", thread_ts=root["ts"])
    history = await call("conversations.history", channel="C0INCIDENTS")
    replies = await call("conversations.replies", channel="C0INCIDENTS", ts=root["ts"])
    assert [message["text"] for message in history["messages"]] == ["root"]
    assert [message["text"] for message in replies["messages"]] == ["root", "reply"]


async def test_metadata_is_shown_only_when_asked_for(call: Caller) -> None:
    metadata = {"event_type": "t", "event_payload": {"id": "d-1"}}
    await call("chat.postMessage", channel="incidents", text="x", metadata=metadata)
    bare = await call("conversations.history", channel="C0INCIDENTS")
    full = await call("conversations.history", channel="C0INCIDENTS", include_all_metadata=True)
    assert [None, metadata] == [page["messages"][0].get("metadata") for page in (bare, full)]


async def test_history_comes_newest_first_in_pages(call: Caller) -> None:
    for number in range(3):
        await call("chat.postMessage", channel="incidents", text=str(number))
    first = await call("conversations.history", channel="C0INCIDENTS", limit=2)
    cursor = first["response_metadata"]["next_cursor"]
    second = await call("conversations.history", channel="C0INCIDENTS", limit=2, cursor=cursor)
    assert [[message["text"] for message in page["messages"]] for page in (first, second)] == [["2", "1"], ["0"]]
    assert second["response_metadata"]["next_cursor"] == ""


async def test_forms_are_taken_like_json(call: Caller) -> None:
    blocks = '[{"type": "section", "text": {"type": "plain_text", "text": "x"}}]'
    assert (await call.form("chat.postMessage", channel="incidents", text="x", blocks=blocks))["ok"]
    assert call.server.messages()[0]["blocks"][0]["type"] == "section"


async def test_an_unexpected_call_fails_the_test(call: Caller) -> None:
    call.server.assert_clean()
    assert await call.error("chat.delete", channel="incidents") == "unknown_method"
    with pytest.raises(AssertionError, match=r"chat\.delete"):
        call.server.assert_clean()


async def test_an_ungrammatical_fault_fails_the_test(call: Caller) -> None:
    call.server.faults.append("sulk(3)")
    with pytest.raises(aiohttp.ClientError):
        await call("auth.test")
    with pytest.raises(AssertionError, match="sulk"):
        call.server.assert_clean()


async def test_a_fault_of_a_method_waits_for_that_method(call: Caller) -> None:
    call.server.faults += ["chat.postMessage:429(7)", "delay(0.01)"]
    assert (await call("auth.test"))["ok"]
    assert (await call("chat.postMessage", channel="incidents", text="x"))["retry"] == "7"
    assert [(c.method, c.outcome) for c in call.server.calls] == [("auth.test", "ok"), ("chat.postMessage", "429")]


async def test_a_call_can_be_awaited_and_what_never_comes_times_out(call: Caller) -> None:
    waiting = asyncio.create_task(call.server.wait_for(lambda server: bool(server.messages())))
    await call("chat.postMessage", channel="incidents", text="x")
    await waiting
    with pytest.raises(TimeoutError):
        await call.server.wait_for(lambda server: len(server.calls) > 1, timeout=0.01)


async def test_it_comes_back_at_its_address_with_its_messages(call: Caller) -> None:
    await call("chat.postMessage", channel="incidents", text="x")
    address = call.server.url
    await call.server.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await call("auth.test")
    await call.server.start()
    assert (address, 1) == (call.server.url, len(call.server.messages()))
    assert (await call("auth.test"))["ok"]


@pytest.fixture
async def url_of_a_process() -> AsyncIterator[str]:
    command = (sys.executable, "-m", "tests.support.slack", "--rate", "60")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def test_as_a_process_it_prints_its_address_and_shows_what_came(url_of_a_process: str) -> None:
    port = int(url_of_a_process.split(":")[2].partition("/")[0])
    async with aiohttp.ClientSession() as session:
        call = Caller(SlackServer(port=port), session)
        async with session.post(f"http://127.0.0.1:{port}/_faults", json=["ok_false(fatal_error)"]) as answer:
            assert answer.status == 200
        outcomes = [await call.error("chat.postMessage", channel="incidents", text="x") for _ in range(3)]
        assert outcomes == ["fatal_error", None, "ratelimited"]
        seen = await call.get("/_calls")
        assert [each["outcome"] for each in seen["calls"]] == ["fatal_error", "ok", "ratelimited"]
        assert [message["text"] for message in (await call.get("/_messages"))["incidents"]] == ["x"]
