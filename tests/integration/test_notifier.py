"""People learn of incidents: one living message each, replies below it, whatever Slack does meanwhile."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from schemas.incidents import AlertsAttached, Merged, Mitigated, NoteAdded, Resolved, SeverityChanged
from schemas.vocabulary import IncidentState, Severity
from services.config import Config
from services.notifier.domain.delivery import MERGED
from services.notifier.store.tables import METADATA, WORK
from services.runtime.clock import ManualClock
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.integration.notifier_house import READER, House, open_house, until
from tests.support.postgres import PostgresServer
from tests.support.slack import SlackServer
from tests.unit.notifier.events import an_event, an_update


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server
        server.assert_clean()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The database's; None is a file of the house's own."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
async def house(tmp_path: Path, slack: SlackServer, url: str | None) -> AsyncIterator[House]:
    async with open_house(tmp_path, slack, url=url) as house:
        yield house


@pytest.fixture
async def small_house(tmp_path: Path, slack: SlackServer) -> AsyncIterator[House]:
    """On SQLite only."""
    async with open_house(tmp_path, slack) as house:
        yield house


def roots(slack: SlackServer) -> list[dict[str, Any]]:
    return [message for message in slack.messages() if "thread_ts" not in message or message["thread_ts"] == message["ts"]]


def methods(slack: SlackServer) -> list[str]:
    return [call.method for call in slack.calls]


async def test_one_message_is_edited_in_place_and_replies_stand_below_it(house: House) -> None:
    await house.tell(an_event(caused_at=house.clock.now()))
    await house.ended("slack", "sent")
    await house.tell(an_update("we roll back", 2, title="Checkout is slow"))
    await house.tell(an_event(NoteAdded(text="between us"), version=3))
    summary, edit, reply = await house.ended("slack", "sent", "sent", "sent")
    [root] = roots(house.slack)
    assert "Checkout is slow" in str(root)
    assert ["we roll back" in str(message) for message in house.slack.messages() if message is not root] == [True]
    assert methods(house.slack) == ["chat.postMessage", "chat.update", "chat.postMessage"]
    assert [each["kind"] for each in (summary, edit, reply)] == ["summary", "summary", "reply"]
    assert house.metric("tocsin_receipt_to_delivery_seconds_count", channel="slack") == 1
    assert house.metric("tocsin_deliveries_total", channel="slack", kind="summary", state="sent") == 2


async def test_the_first_message_of_an_incident_is_told_on_the_bus(house: House) -> None:
    await house.tell(an_event(), an_update("more", 2))
    found = await house.outcomes(2)
    seen = {(each.channel, each.kind, each.state) for each in found}
    assert seen == {("board", "summary", "sent"), ("slack", "summary", "sent")}
    [board] = [each for each in found if each.channel == "board"]
    assert (board.url or "").startswith("http://tocsin.test/#")


async def test_a_wait_that_slack_asks_for_is_kept_to_the_second(house: House) -> None:
    house.slack.faults.append("429(30)")
    await house.tell(an_event())
    await house.ended("slack", "waiting")
    before = len(house.slack.calls)
    house.advance(29)
    await house.tell(an_event(id="INC-43"), an_event(id="INC-44"))
    await house.ended("board", "sent", "sent", "sent")
    assert before == len(house.slack.calls)
    house.advance(1)
    await house.counted("slack", sent=1, pending=2)
    house.advance(2)
    await house.ended("slack", "sent", "sent", "sent")
    assert len(roots(house.slack)) == 3


@pytest.mark.parametrize("fault", ["500_after", "reset_after"])
async def test_what_slack_took_in_spite_of_an_error_is_found_and_not_said_twice(house: House, fault: str) -> None:
    house.slack.faults.append(f"chat.postMessage:{fault}")
    await house.tell(an_event())
    await house.ended("slack", "unknown")
    house.advance(2)
    await house.ended("slack", "sent")
    assert len(house.slack.messages()) == 1
    assert methods(house.slack).count("chat.postMessage") == 1


async def test_what_slack_lost_is_looked_for_and_said_again(house: House) -> None:
    house.slack.faults.append("chat.postMessage:500_before")
    await house.tell(an_event())
    await house.ended("slack", "unknown")
    house.advance(2)
    await house.ended("slack", "sent")
    assert "conversations.history" in methods(house.slack)
    assert len(house.slack.messages()) == 1


async def test_a_reply_in_doubt_is_looked_for_in_its_thread(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    house.slack.faults.append("chat.postMessage:500_after")
    await house.tell(an_update("we roll back", 2))
    await house.ended("slack", "sent", "sent", "unknown")
    house.advance(2)
    await house.ended("slack", "sent", "sent", "sent")
    assert len(house.slack.messages()) == 2
    assert "conversations.replies" in methods(house.slack)


async def test_a_newer_summary_finds_what_an_older_one_left_in_doubt(house: House) -> None:
    house.slack.faults.append("chat.postMessage:500_after")
    await house.tell(an_event())
    await house.ended("slack", "unknown")
    await house.tell(an_event(AlertsAttached(count=1, gating=0), version=2, title="Checkout is slow"))
    first, _ = await house.ended("slack", "superseded", "sent")
    assert first["reason"] == "a newer state of the summary exists"
    [root] = house.slack.messages()
    assert "Checkout is slow" in str(root)
    assert house.metric("tocsin_deliveries_total", channel="slack", kind="summary", state="superseded") == 1


async def test_the_board_is_written_while_slack_is_down_and_slack_after_it(house: House) -> None:
    await house.slack.stop()
    await house.tell(an_event())
    await house.ended("board", "sent")
    await house.ended("slack", "waiting")
    assert "Checkout is down" in await house.page()
    await house.slack.start()
    house.advance(2)
    await house.ended("slack", "sent")


async def test_only_the_newest_summary_is_sent_after_a_storm(house: House) -> None:
    await house.slack.stop()
    for version in range(1, 6):
        await house.tell(an_event(AlertsAttached(count=version, gating=0), version=version, title=f"state {version}"))
        await house.ended("slack", *["superseded"] * (version - 1), "waiting")
    await house.tell(*(an_event(AlertsAttached(count=1, gating=0), version=n, title=f"state {n}") for n in range(6, 40)))
    await until(lambda: _planned(house, 39))
    await house.slack.start()
    house.advance(2)
    await house.ended("slack", *["superseded"] * 38, "sent")
    [root] = house.slack.messages()
    assert "state 39" in str(root)


async def test_a_merge_is_the_last_word_and_what_still_waited_is_not_said(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    house.slack.faults.append("429(30)")
    await house.tell(an_update("we look", 2), an_event(Mitigated(), version=3, state=IncidentState.MITIGATED))
    await house.counted("slack", sent=1, superseded=1, pending=2, waiting=1)  # both replies, and the newest summary
    merged = an_event(Merged(into="INC-7"), version=4, text="Merged into INC-7", state=IncidentState.MERGED, merged_into="INC-7")
    await house.tell(merged)
    await house.counted("slack", sent=1, superseded=3, pending=3)
    house.advance(32)
    await house.counted("slack", sent=3, superseded=4)
    [root] = roots(house.slack)
    assert "it goes on there" in str(root)
    assert ["Merged into INC-7" in str(message) for message in house.slack.messages() if message is not root] == [True]
    silenced = [each for each in await house.deliveries() if each["channel"] == "slack" and each["kind"] == "reply"]
    assert [each["reason"] for each in silenced[1:]] == [MERGED] * 2
    assert house.metric("tocsin_deliveries_total", channel="slack", kind="reply", state="superseded") == 2


async def test_an_event_that_comes_again_or_late_changes_nothing(house: House) -> None:
    opened, newer = an_event(), an_event(Mitigated(), version=3, title="newest", state=IncidentState.MITIGATED)
    await house.tell(opened, newer)
    await house.ended("slack", "superseded", "sent", "sent")
    calls = len(house.slack.calls)
    late = an_event(SeverityChanged(before=Severity.S2, after=Severity.S1, pinned=False), version=2, title="old")
    await house.tell(opened, newer, late)
    await house.ended("slack", "superseded", "sent", "sent", "superseded", "sent")
    assert calls + 1 == len(house.slack.calls)
    assert "newest" in str(roots(house.slack)[0])


async def test_a_process_that_died_while_sending_has_its_message_looked_up(
    tmp_path: Path, slack: SlackServer, url: str | None
) -> None:
    clock = ManualClock(datetime.now(UTC))
    slack.faults.append("chat.postMessage:timeout_after")
    async with open_house(tmp_path, slack, clock=clock, url=url) as house:
        await house.tell(an_event())
        await slack.wait_for(lambda seen: "chat.postMessage" in methods(seen))
    clock.advance(timedelta(seconds=61))
    async with open_house(tmp_path, slack, clock=clock, url=url) as house:
        [delivery] = await house.ended("slack", "sent")
    assert delivery["attempts"] == 2
    assert len(slack.messages()) == 1
    assert methods(slack).count("chat.postMessage") == 1


async def test_a_message_that_was_deleted_is_posted_anew(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    house.slack.messages().clear()
    await house.tell(an_update("we roll back", 2))
    await house.ended("slack", "sent", "sent", "sent")
    root, reply = house.slack.messages()
    assert root["ts"] == reply["thread_ts"]


async def test_a_reply_without_a_summary_is_posted_plainly(small_house: House) -> None:
    house = small_house
    house.slack.faults.append("chat.postMessage:ok_false(invalid_blocks)")
    await house.tell(an_event())
    [summary] = await house.ended("slack", "failed")
    assert "invalid_blocks" in summary["reason"]
    house.slack.faults.append("chat.postMessage:ok_false(invalid_blocks)")
    await house.tell(an_update("we roll back", 2))
    await house.ended("slack", "failed", "failed", "sent")
    [said] = house.slack.messages()
    assert "thread_ts" not in said
    failed = [each for each in await house.outcomes(3) if each.state == "failed"]
    assert [each.kind for each in failed] == ["summary", "summary"]


async def test_a_failed_delivery_is_retried_by_a_person(small_house: House) -> None:
    house = small_house
    house.slack.faults.append("chat.postMessage:ok_false(invalid_blocks)")
    await house.tell(an_event())
    [failed] = await house.ended("slack", "failed")
    async with house.client(READER) as reader:
        assert (await reader.post(f"/api/v1/deliveries/{failed['id']}/retry")).status_code == 403
    async with house.client() as client:
        answer = await client.post(f"/api/v1/deliveries/{failed['id']}/retry")
        assert (answer.status_code, answer.json()["state"]) == (200, "pending")
        await house.ended("slack", "sent")
        again = await client.post(f"/api/v1/deliveries/{failed['id']}/retry")
        assert (again.status_code, again.json()["code"]) == (409, "not_retryable")
        assert (await client.post("/api/v1/deliveries/nothing/retry")).status_code == 404


async def test_after_a_day_of_trying_a_delivery_has_failed_with_the_reason(small_house: House) -> None:
    house = small_house
    await house.slack.stop()
    await house.tell(an_event())
    await house.ended("slack", "waiting")
    house.advance(24 * 3600)
    [failed] = await house.ended("slack", "failed")
    assert "gave up after 2 attempts" in failed["reason"]


async def test_deliveries_are_listed_newest_first_page_by_page(small_house: House) -> None:
    house = small_house
    await house.tell(an_event(), an_update("one", 2), an_event(id="INC-43"))
    await house.ended("slack", "superseded", "sent", "sent", "sent")
    async with house.client() as client:
        seen: list[str] = []
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"limit": 3, **({"cursor": cursor} if cursor else {})}
            answer = (await client.get("/api/v1/deliveries", params=query)).json()
            seen += [each["id"] for each in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                break
        every = await house.deliveries()
        assert [each["id"] for each in every] == seen
        assert len(set(seen)) == 8
        assert (await client.get("/api/v1/deliveries", params={"state": "odd"})).status_code == 400
    assert {"INC-43"} == {each["incident"] for each in await house.deliveries(incident="INC-43")}
    assert {"superseded"} == {each["state"] for each in await house.deliveries(state="superseded")}


async def test_a_reload_brings_new_destinations(small_house: House) -> None:
    house = small_house
    await house.tell(an_event())
    await house.ended("slack", "sent")
    slack = house.config.config.slack
    assert slack is not None
    house.config.config = Config(slack=slack.model_copy(update={"channel": "#random"}))
    await house.tell(an_event(Resolved(), version=2, state=IncidentState.RESOLVED))
    await house.ended("slack", "sent", "sent", "sent")
    assert len(house.slack.messages()) == 1
    assert len(house.slack.messages("random")) == 2


async def test_a_burst_of_incidents_is_sent_as_fast_as_slack_allows(tmp_path: Path, slack: SlackServer) -> None:
    async with open_house(tmp_path, slack) as house:
        await house.tell(*(an_event(id=f"INC-{n}") for n in range(1, 13)))
        await house.ended("board", *["sent"] * 12)
        await house.counted("slack", sent=10, pending=2)
        house.advance(1)
        await house.counted("slack", sent=11, pending=1)
        house.advance(1)
        await house.counted("slack", sent=12)


async def test_nothing_is_lost_when_two_workers_hold_the_same_delivery(small_house: House) -> None:
    """A worker whose lease ran out finds its delivery begun by another, and leaves it alone."""
    house = small_house
    house.slack.faults.append("chat.postMessage:delay(0.3)")
    await house.tell(an_event())
    await until(lambda: _in_state(house, "sending"))
    async with house.database.transaction() as connection:
        await connection.execute(update(WORK).values(lease_until=None))
    house.advance(0.1)
    await house.ended("slack", "sent")
    assert len(house.slack.messages()) == 1


async def _planned(house: House, version: int) -> bool:
    return any(each["version"] == version for each in await house.deliveries())


async def _in_state(house: House, state: str) -> bool:
    return any(each["state"] == state and each["channel"] == "slack" for each in await house.deliveries())


async def test_the_board_shows_hostile_text_as_text(small_house: House) -> None:
    house = small_house
    links = {
        "<b>Runbook": "javascript:alert(1)",
        "Data": "data:text/html,<script>",
        "User": "https://a@evil.example",
        "Good": "https://a.example/?a=1&b=2",
    }
    await house.tell(an_event(title="<script>alert(1)</script>", links=links, reason='"><img src=x onerror=alert(1)>'))
    await house.ended("board", "sent")
    await house.tell(an_update("{{ 7*7 }} <!channel> </p><iframe>", 2, title="<script>alert(1)</script>", links=links))
    await house.ended("board", "sent", "sent", "sent")
    page = await house.page()
    for bad in ("<script", "<img", "<iframe", 'href="javascript', 'href="data', 'href="https://a@', ">49"):
        assert bad not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'href="https://a.example/?a=1&amp;b=2"' in page


async def test_the_board_needs_a_token_and_forbids_everything_else(small_house: House) -> None:
    async with small_house.client("wrong") as stranger:
        answer = await stranger.get("/")
        assert (answer.status_code, answer.headers["www-authenticate"].startswith("Basic")) == (401, True)
    async with small_house.client(READER) as reader:
        answer = await reader.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'<style nonce="{nonce}">' in answer.text
    assert "style=" not in answer.text
    assert "/webhooks/alertmanager" in answer.text


async def test_open_incidents_come_first_and_the_worst_of_them_first(small_house: House) -> None:
    house = small_house
    over: dict[str, Any] = {"state": IncidentState.RESOLVED, "resolved_at": house.clock.now()}
    await house.tell(
        an_event(id="INC-1", title="is over", **over),
        an_event(id="INC-2", title="is small", severity=Severity.S3),
        an_event(id="INC-3", title="is large"),
        an_event(id="INC-4", title="is mitigated", state=IncidentState.MITIGATED),
    )
    await house.ended("board", "sent", "sent", "sent", "sent")
    page = await house.page()
    places = [page.index(f">{title}") for title in ("is large", "is small", "is mitigated", "is over")]
    assert sorted(places) == places


async def test_without_slack_there_is_the_board(tmp_path: Path, slack: SlackServer) -> None:
    async with open_house(tmp_path, slack, with_slack=False) as house:
        await house.tell(an_event())
        await house.ended("board", "sent")
        assert len(await house.deliveries()) == 1
        assert house.part.readiness() == []
    assert slack.calls == []


async def test_the_metadata_is_what_the_migrations_make(url: str | None, tmp_path: Path) -> None:
    database = Database(url or f"sqlite:///{tmp_path}/a.db", "notifier")
    try:
        await migrate(database, "services.notifier.store.migrations")
        await migrate(database, "services.notifier.store.migrations")
        async with database.transaction() as connection:
            differences = await connection.run_sync(_differences)
    finally:
        await database.stop()
    assert differences == []


def _differences(connection: Any) -> list[Any]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


@pytest.mark.parametrize("word", ["missing_scope", "not_in_channel", "channel_not_found"])
async def test_who_may_not_look_says_it_again_and_says_so(small_house: House, word: str) -> None:
    """A message said twice is better than one never said."""
    house = small_house
    await house.tell(an_event())
    await house.ended("slack", "sent")
    house.slack.faults += ["chat.postMessage:500_before", f"conversations.replies:ok_false({word})"]
    await house.tell(an_update("we roll back", 2))
    await house.ended("slack", "sent", "sent", "unknown")
    house.advance(2)
    *_, reply = await house.ended("slack", "sent", "sent", "sent")
    assert "nobody could look" in reply["reason"] and word in reply["reason"]
    assert len(house.slack.messages()) == 2


async def test_a_lookup_that_fails_again_and_again_does_not_keep_the_message(small_house: House) -> None:
    house = small_house
    house.slack.faults += ["chat.postMessage:500_before", *["conversations.list:500_before"] * 3]
    await house.tell(an_event())
    for seconds in (2, 3, 5):
        await house.ended("slack", "unknown")
        await until(lambda: _rests(house))
        house.advance(seconds)
    [summary] = await house.ended("slack", "sent")
    assert (summary["attempts"], len(house.slack.messages())) == (4, 1)
    assert "nobody could look" in summary["reason"]


async def test_a_failed_post_after_a_blind_look_leaves_the_doubt(small_house: House) -> None:
    house = small_house
    house.slack.faults += ["chat.postMessage:500_after", "conversations.list:ok_false(missing_scope)", "chat.postMessage:429(1)"]
    await house.tell(an_event())
    await house.ended("slack", "unknown")
    house.advance(2)
    await until(lambda: _attempted(house, 2))
    house.advance(2)
    await house.ended("slack", "sent")
    assert len(house.slack.messages()) == 1


async def test_a_token_that_is_missing_keeps_messages_waiting_until_it_is_there(tmp_path: Path, slack: SlackServer) -> None:
    token = tmp_path / "token"
    async with open_house(tmp_path, slack, token_file=token) as house:
        await house.tell(an_event())
        await house.ended("board", "sent")
        await until(lambda: _waits_for_token(house))
        assert house.part.readiness() == []
        assert house.registry.get_sample_value("tocsin_channel_ready", {"channel": "slack"}) == 0
        token.write_text(slack.token)
        house.advance(3)
        [delivery] = await house.ended("slack", "sent")
        assert (delivery["attempts"], delivery["reason"]) == (1, None)
        assert house.metric("tocsin_channel_ready", channel="slack") == 1


async def test_a_channel_taken_out_of_the_configuration_fails_what_waits_for_it(tmp_path: Path, slack: SlackServer) -> None:
    async with open_house(tmp_path, slack, token_file=tmp_path / "token") as house:
        await house.tell(an_event())
        await until(lambda: _waits_for_token(house))
        house.config.config = Config()
        house.advance(3)
        [delivery] = await house.ended("slack", "failed")
        assert delivery["reason"] == "the channel is no longer configured"


async def test_a_lost_thread_is_begun_anew_and_the_reply_stands_in_it(house: House) -> None:
    await house.tell(an_event())
    await house.ended("slack", "sent")
    await house.tell(an_update("first", 2, title="Newest title"))
    await house.ended("slack", "sent", "sent", "sent")
    house.slack.faults += ["chat.update:ok", "chat.postMessage:ok_false(thread_not_found)"]
    await house.tell(an_update("second", 3, title="Newest title"), an_update("third", 4, title="Newest title"))
    await house.ended("slack", "sent", "sent", "sent", "superseded", "sent", "sent", "sent")
    old, new = roots(house.slack)
    replies = [(message["thread_ts"], message["blocks"]) for message in house.slack.messages() if "thread_ts" in message]
    assert [thread for thread, _ in replies] == [old["ts"], new["ts"], new["ts"]]
    assert ["second" in str(replies[1]), "third" in str(replies[2]), "Newest title" in str(new)] == [True] * 3


async def test_a_root_that_was_lost_on_the_way_is_found_and_not_said_twice(small_house: House) -> None:
    house = small_house
    await house.tell(an_event())
    await house.ended("slack", "sent")
    house.slack.faults += ["chat.postMessage:ok_false(thread_not_found)", "chat.postMessage:500_after"]
    await house.tell(an_update("second", 2))
    await house.ended("slack", "sent", "sent", "unknown")
    house.advance(5)
    await house.ended("slack", "sent", "sent", "sent")
    _, new = roots(house.slack)
    assert [message["thread_ts"] for message in house.slack.messages() if "thread_ts" in message] == [new["ts"]]


async def test_a_thread_that_takes_no_reply_at_all_ends_in_failure_not_in_a_loop(small_house: House) -> None:
    house = small_house
    await house.tell(an_event())
    await house.ended("slack", "sent")
    lost = "chat.postMessage:ok_false(thread_not_found)"
    house.slack.faults += [lost, "chat.postMessage:ok", lost]
    await house.tell(an_update("second", 2))
    await house.ended("slack", "sent", "sent", "failed")
    assert len(roots(house.slack)) == 2


async def test_a_nul_in_a_path_or_query_is_refused(house: House) -> None:
    async with house.client() as client:
        assert (await client.get("/api/v1/deliveries?incident=%00")).status_code == 400
        assert (await client.post("/api/v1/deliveries/%00/retry")).status_code == 400


async def test_what_ended_long_ago_is_forgotten_and_what_is_open_stays(house: House) -> None:
    over: dict[str, Any] = {"state": IncidentState.RESOLVED, "resolved_at": house.clock.now()}
    await house.tell(an_event(), an_event(id="INC-43", **over), an_update("a reply", 2, id="INC-43", **over))
    await house.ended("board", "sent", "superseded", "sent", "sent")
    await house.ended("slack", "sent", "superseded", "sent", "sent")
    house.advance(89 * 86400)
    await house.tell(an_event(id="INC-44"))
    await house.ended("board", "sent", "superseded", "sent", "sent", "sent")
    house.advance(2 * 86400)
    await house.ended("board", "sent")
    await until(lambda: _lacks(house, "INC-43"))
    page = await house.page()
    assert [name in page for name in ("INC-42", "INC-44", "a reply")] == [True, True, False]
    assert await house.deliveries(incident="INC-42") == []


async def _lacks(house: House, word: str) -> bool:
    return word not in await house.page()


async def _rests(house: House) -> bool:
    """Whether nothing is due before the clock is moved."""
    async with house.database.read() as connection:
        leased = await connection.execute(
            select(WORK.c.id).where(WORK.c.lease_until.is_not(None) | (WORK.c.due_at <= house.clock.now()))
        )
        return leased.first() is None


async def _attempted(house: House, count: int) -> bool:
    return await _rests(house) and any(each["attempts"] == count for each in await house.deliveries())


async def _waits_for_token(house: House) -> bool:
    return any("no bot token" in (each["reason"] or "") and each["state"] == "pending" for each in await house.deliveries())
