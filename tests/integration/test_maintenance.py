"""Maintenance over real HTTP: planned, seen, ended, and what fires meanwhile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from services.runtime.clock import ManualClock
from tests.builders import NOW, an_alert
from tests.integration.test_api import problem
from tests.support.tocsin import Client, eventually, in_process

CONFIG = """
maintenance:
  - {name: nightly, match: ['env="lab"'], starts: "2026-11-01T03:00", duration: 1h, rrule: "FREQ=DAILY", reason: backups}
  - {name: tomorrow, match: ['env="lab"'], starts: "2026-11-24T03:00", ends: "2026-11-24T05:00", zone: Europe/Berlin}
  - {name: long ago, match: ['env="lab"'], starts: "2020-11-24T03:00", duration: 1h}
"""
ITEM = {
    "id", "name", "state", "match", "starts", "duration", "zone", "rrule", "reason", "by", "active_until", "next", "over_at",
    "created_at", "ended_at", "ended_by", "end_reason",
}  # fmt: skip
USUAL: dict[str, Any] = {"name": "db upgrade", "match": ['service="db"'], "duration": "2h", "reason": "new disks"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest_asyncio.fixture(loop_scope="module")
async def client(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Client]:
    """A Tocsin of the test's own."""
    async with in_process(tmp_path, config=CONFIG, clock=clock) as (_, client):
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A Tocsin for the tests in which nothing may change."""
    async with in_process(tmp_path_factory.mktemp("shared"), config=CONFIG, clock=ManualClock(NOW)) as (_, client):
        yield client


async def plan(client: Client, **more: Any) -> dict[str, Any]:
    answer = await client.post("/maintenance", **(USUAL | more))
    assert answer.status_code == 201, answer.text
    item: dict[str, Any] = answer.json()
    assert set(item) == ITEM
    return item


async def end(client: Client, name: str, **more: Any) -> httpx2.Response:
    return await client.post(f"/maintenance/{name}/end", **({"reason": "all done"} | more))


async def names(client: Client, **query: Any) -> list[str]:
    page = await client.get("/maintenance", **query)
    assert set(page) == {"items", "next"}
    assert all(set(item) == ITEM for item in page["items"])
    return [item["id"] for item in page["items"]]


async def test_without_a_start_it_begins_now(client: Client) -> None:
    item = await plan(client)
    assert item == {
        "id": "MW-1", "name": "db upgrade", "state": "active", "match": ['service="db"'], "starts": "2026-11-23T03:12:00",
        "duration": "2h", "zone": "UTC", "rrule": None, "reason": "new disks", "by": "admin",
        "active_until": "2026-11-23T05:12:00Z", "next": None, "over_at": "2026-11-23T05:12:00Z",
        "created_at": "2026-11-23T03:12:00Z", "ended_at": None, "ended_by": None, "end_reason": None,
    }  # fmt: skip


async def test_one_that_recurs_by_the_clocks_of_a_zone(client: Client) -> None:
    more = {"starts": "2026-11-24T22:00", "zone": "Europe/Berlin", "rrule": "FREQ=WEEKLY;BYDAY=TU", "duration": "90m"}
    item = await plan(client, **more)
    assert (item["state"], item["active_until"], item["next"], item["over_at"]) == (
        "coming", None, "2026-11-24T21:00:00Z", None,
    )  # fmt: skip
    assert {key: item[key] for key in more} == more | {"starts": "2026-11-24T22:00:00", "duration": "1h30m"}


async def test_the_list_has_what_holds_or_comes_from_the_file_and_by_hand(client: Client, clock: ManualClock) -> None:
    await plan(client, duration="1m")
    await plan(client, starts="2026-12-01 10:00")
    clock.advance(timedelta(minutes=1))
    assert await names(client) == ["file:nightly", "file:tomorrow", "MW-2"]
    assert await names(client, active=True) == ["file:nightly"]
    assert await names(client, all=True) == ["file:nightly", "file:tomorrow", "file:long ago", "MW-2", "MW-1"]


async def test_what_stands_in_the_file_is_shown_like_the_rest(shared: Client) -> None:
    nightly, tomorrow = (await shared.get("/maintenance"))["items"]
    assert (nightly["name"], nightly["by"], nightly["reason"], nightly["active_until"], nightly["created_at"]) == (
        "nightly", "configuration", "backups", "2026-11-23T04:00:00Z", None,
    )  # fmt: skip
    assert (tomorrow["state"], tomorrow["next"], tomorrow["duration"]) == ("coming", "2026-11-24T02:00:00Z", "2h")


async def test_the_list_is_paged_newest_first(client: Client) -> None:
    for _ in range(5):
        await plan(client)
    first = await client.get("/maintenance", limit=2)
    second = await client.get("/maintenance", limit=2, cursor=first["next"])
    third = await client.get("/maintenance", limit=2, cursor=second["next"])
    assert [[item["id"] for item in page["items"]] for page in (first, second, third)] == [
        ["file:nightly", "file:tomorrow", "MW-5", "MW-4"], ["MW-3", "MW-2"], ["MW-1"],
    ]  # fmt: skip
    assert third["next"] is None


@pytest.mark.parametrize("name", ["MW-1", "mw-1", "1"])
async def test_it_is_ended_under_each_of_its_names(client: Client, name: str) -> None:
    await plan(client)
    answer = await end(client, name)
    item = answer.json()
    assert (answer.status_code, item["state"], item["active_until"]) == (200, "over", None)
    assert (item["ended_by"], item["end_reason"], item["ended_at"]) == ("admin", "all done", item["over_at"])
    assert "MW-1 was ended by admin" in problem(await end(client, name), 409, "illegal_transition")["detail"]


async def test_what_stands_in_the_file_cannot_be_ended_here(shared: Client) -> None:
    refused = problem(await end(shared, "file:nightly"), 409, "illegal_transition")
    assert refused["detail"] == "nightly stands in the configuration; take it out there and load the configuration again."
    assert await names(shared, active=True) == ["file:nightly"]


@pytest.mark.parametrize("name", ["MW-9", "0", "INC-1", "file:weekly", "%00", "x" * 300, "MW-" + "9" * 30])
async def test_what_is_not_there_is_404(shared: Client, name: str) -> None:
    problem(await end(shared, name), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"match": ['service="db"', "service=~("]}, "/match/1", "character"),
        ({"match": ["no matcher"]}, "/match/0", "character"),
        ({"match": ["{}"]}, "/match", "at least one matcher"),
        ({"match": []}, "/match", "at least 1"),
        ({"match": ["a=\x00"]}, "/match/0", "NUL"),
        ({"zone": "Europe/Berln"}, "/zone", "did you mean 'Europe/Berlin'"),
        ({"rrule": "FREQ=MINUTELY"}, "/rrule", "expected HOURLY"),
        ({"starts": "soon"}, "/starts", "expected one like"),
        ({"starts": "2026-11-23T01:00"}, "/starts", "over at 2026-11-23 03:00 UTC"),
        ({"duration": "32d"}, "/duration", "at most 31 days"),
        ({"duration": "soon"}, "/duration", "expected a duration like"),
        ({"duration": None}, "/duration", "expected a duration or an end"),
        ({"ends": "2026-11-23T06:00"}, "/ends", "expected one of them"),
        ({"duration": None, "ends": "2026-11-23T01:00"}, "/ends", "after the start"),
        ({"name": " "}, "/name", "at least 1"),
        ({"reason": None}, "/reason", "string"),
        ({"until": "2026-11-23T06:00"}, "/until", "not permitted"),
    ],
)
async def test_what_cannot_be_planned_is_told_with_its_place(
    shared: Client, body: dict[str, Any], pointer: str, said: str
) -> None:
    refused = problem(await shared.post("/maintenance", **(USUAL | body)), 400, "invalid")
    assert [(error["pointer"], said in error["message"]) for error in refused["errors"]] == [(pointer, True)]
    assert await names(shared, all=True) == ["file:nightly", "file:tomorrow", "file:long ago"]


async def test_everything_that_is_wrong_is_told_at_once(shared: Client) -> None:
    refused = problem(await shared.post("/maintenance", **(USUAL | {"match": ["=", "b=c"], "zone": "Mars"})), 400, "invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/match/0", "/zone"]


async def test_a_repeat_under_the_same_key_is_answered_and_not_done(client: Client) -> None:
    async def post(path: str, **body: Any) -> httpx2.Response:
        url = f"{client.orchestrator}/api/v1/maintenance{path}"
        return await client.http.post(url, json=body, headers={"Idempotency-Key": "k"})

    first, again = await post("", **USUAL), await post("", **USUAL)
    assert (first.json(), first.headers.get("idempotency-replayed")) == (again.json(), None)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    problem(await post("/MW-1/end", reason="x"), 409, "key_reused")
    assert await names(client) == ["file:nightly", "file:tomorrow", "MW-1"]


async def test_an_alert_in_a_window_is_recorded_and_opens_when_that_is_ended(client: Client) -> None:
    await plan(client)
    alert = an_alert(service="db")
    await client.send(alert)
    told = await eventually(lambda: client.get(f"/alerts/{alert.fingerprint}/explain"), lambda told: told["firings"])
    decision = told["firings"][0]["decision"]
    assert (decision["action"], decision["rule"], decision["facts"]["maintenance"]) == ("record", "maintenance", "MW-1")
    assert "db upgrade" in decision["reason"]
    assert await client.all("/incidents") == []
    await end(client, "MW-1")
    (incident,) = await eventually(lambda: client.all("/incidents"), len)
    assert incident["services"] == ["db"]


async def test_an_alert_that_outlives_its_window_opens_at_its_end(client: Client, clock: ManualClock) -> None:
    alert = an_alert(env="lab")
    await client.send(alert)
    told = await eventually(lambda: client.get(f"/alerts/{alert.fingerprint}/explain"), lambda told: told["firings"])
    assert told["firings"][0]["decision"]["facts"]["maintenance"] == "file:nightly"
    clock.advance(timedelta(minutes=48))
    (incident,) = await eventually(lambda: client.all("/incidents"), len)
    assert incident["environment"] == "lab"
