"""The Slack channel keeps the contract, and what is Slack's own."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.channels.slack import SlackChannel
from services.notifier.ports import Address, ChannelError, Gone, Trouble
from tests.contract.channel_contract import PATIENCE, ChannelContract, Place, a_content
from tests.support.slack import SlackServer


class SlackPlace(Place):
    """The stand-in on 127.0.0.1."""

    def __init__(self, server: SlackServer, destination: str = "#incidents") -> None:
        self.server, self.destination, self.secret = server, destination, server.token
        self.channel: SlackChannel = SlackChannel(server.token, server.url, PATIENCE)

    def spoil(self, fault: str) -> None:
        self.server.faults.append(fault)

    def said(self) -> list[str]:
        return [json.dumps(message) for message in self.server.messages()]

    async def called(self, times: int) -> None:
        await self.server.wait_for(lambda server: len(server.calls) >= times)

    async def vanish(self) -> None:
        await self.server.stop()

    async def post(self, delivery: str = "d-1") -> Address:
        return await self.channel.post(self.destination, a_content(), delivery=delivery, thread=None)

    async def error_of_post(self) -> ChannelError:
        with pytest.raises(ChannelError) as caught:
            await self.post()
        return caught.value


@pytest.fixture
async def slack() -> AsyncIterator[SlackPlace]:
    async with SlackServer() as server:
        place = SlackPlace(server)
        try:
            yield place
        finally:
            await place.channel.close()
        server.assert_clean()


class TestSlackChannel(ChannelContract):
    """All of the contract."""

    @pytest.fixture
    def place(self, slack: SlackPlace) -> SlackPlace:
        return slack


AUTH = ["invalid_auth", "not_authed", "token_revoked", "account_inactive", "missing_scope"]
MENDABLE = ["channel_not_found", "not_in_channel", "is_archived", "restricted_action", "a_word_of_tomorrow"]
BROKEN = ["invalid_blocks", "msg_too_long", "msg_blocks_too_long", "no_text"]
UNSURE = ["internal_error", "fatal_error", "service_unavailable"]


@pytest.mark.parametrize(
    ("words", "trouble", "happened", "retry"),
    [
        (AUTH, Trouble.AUTH_ERROR, False, True),
        (MENDABLE, Trouble.CLIENT_ERROR, False, True),
        (BROKEN, Trouble.CLIENT_ERROR, False, False),
        (UNSURE, Trouble.SERVER_ERROR, None, True),
        (["ratelimited"], Trouble.RATE_LIMITED, False, True),
        (["xoxb-echoed by a stranger"], Trouble.SERVER_ERROR, None, True),
    ],
)
async def test_slacks_words_tell_whether_to_try_again(
    slack: SlackPlace, words: list[str], trouble: Trouble, happened: bool | None, retry: bool
) -> None:
    for word in words:
        slack.spoil(f"ok_false({word})")
        error = await slack.error_of_post()
        assert (trouble, happened, retry) == (error.trouble, error.happened, error.retry), word
        assert "xoxb-echoed" not in error.reason


@pytest.mark.parametrize(
    ("fault", "wait"), [("429(0)", 0), ("429(30)", 30), ("429(999999)", 3600), ("429(soon)", None), ("429(-5)", None)]
)
async def test_retry_after_is_believed_when_it_makes_sense(slack: SlackPlace, fault: str, wait: float | None) -> None:
    slack.spoil(fault)
    assert wait == (await slack.error_of_post()).retry_after


async def test_a_reset_connection_is_not_tried_again_behind_our_back(slack: SlackPlace) -> None:
    slack.spoil("reset_after")
    await slack.error_of_post()
    assert [call.method for call in slack.server.calls] == ["chat.postMessage"]


async def test_a_post_mentions_nobody_and_unfurls_nothing(slack: SlackPlace) -> None:
    await slack.post()
    args = slack.server.calls[-1].args
    switches = {name: args[name] for name in ("parse", "link_names", "unfurl_links", "unfurl_media")}
    assert switches == {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


async def test_editing_a_deleted_message_says_to_post_anew(slack: SlackPlace) -> None:
    address = await slack.post()
    slack.server.messages().clear()
    with pytest.raises(Gone) as caught:
        await slack.channel.edit(address, a_content(), delivery="d-2")
    assert (caught.value.trouble, caught.value.happened, caught.value.retry) == (Trouble.CLIENT_ERROR, False, False)


async def test_a_message_is_found_behind_pages_of_talk(slack: SlackPlace) -> None:
    wanted = await slack.post("wanted")
    for number in range(40):
        await slack.post(f"other-{number}")
    since = datetime.now(UTC) - timedelta(seconds=5)
    assert wanted == await slack.channel.find("incidents", delivery="wanted", since=since, thread=None)


async def test_strangers_metadata_does_not_spoil_the_search(slack: SlackPlace) -> None:
    wanted = await slack.post("wanted")
    for metadata in ("text", {"event_type": 7, "event_payload": None}, {"event_payload": {"id": "wanted"}}):
        slack.server.messages().append({"ts": "9999999999.000001", "metadata": metadata})
    found = await slack.channel.find("#incidents", delivery="wanted", since=datetime.now(UTC), thread=None)
    assert wanted == found


async def test_what_is_older_than_asked_for_is_not_found(slack: SlackPlace) -> None:
    await slack.post("old")
    later = datetime.now(UTC) + timedelta(seconds=120)
    assert None is await slack.channel.find("#incidents", delivery="old", since=later, thread=None)


async def test_a_destination_may_be_an_id(slack: SlackPlace) -> None:
    slack.destination = "C0INCIDENTS"
    address = await slack.post()
    assert address.parts["channel"] == "C0INCIDENTS"
    found = await slack.channel.find("C0INCIDENTS", delivery="d-1", since=datetime.now(UTC), thread=None)
    assert address == found
    assert "conversations.list" not in {call.method for call in slack.server.calls}


async def test_check_names_what_to_mend(slack: SlackPlace) -> None:
    room = slack.server.room("C0INCIDENTS")
    room.member = False
    assert "/invite" in (await slack.channel.check("#incidents") or "")
    room.archived = True
    assert "unarchive" in (await slack.channel.check("#incidents") or "")
    assert "#nowhere" in (await slack.channel.check("#nowhere") or "")


async def test_check_of_a_wrong_token_says_where_the_token_belongs(slack: SlackPlace) -> None:
    channel = SlackChannel("xoxb-wrong", slack.server.url, PATIENCE)
    try:
        reason = await channel.check("#incidents") or ""
    finally:
        await channel.close()
    assert "slack.token_file" in reason
    assert "xoxb-wrong" not in reason
