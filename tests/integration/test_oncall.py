"""Who is on call, over real HTTP: asked, stood in for, swapped, exported, with a calendar that changes and goes away."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from icalendar import Calendar

from services.orchestrator.handlers.feeds import LOOK
from services.runtime.clock import ManualClock
from tests.builders import NOW
from tests.integration.test_api import problem as as_problem
from tests.support.calendars import CalendarServer, an_event, calendar
from tests.support.duty import DAY, HOUR, WEEK
from tests.support.tocsin import TOKEN, Client, eventually, in_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
people:
  - {id: ann, name: Ann Smith, email: ann@example.com}
  - {id: bob, name: Bob Jones, slack: U2}
  - {id: cid, name: Cid Ng, phone: "+49 30 1234567"}
  - {id: dan, name: Dan Fox, pager: dan}
rotations:
  - name: eoc
    role: eoc
    zone: Europe/Berlin
    layers:
      - {people: [bob, ann], starts: "2026-01-05T09:00"}
  - name: eoc-db
    role: eoc
    services: [db]
    layers:
      - {people: [dan], starts: "2026-01-05T09:00", hours: [{days: mon-fri, from: 09:00, to: 17:00}]}
  - name: imoc
    role: imoc
    layers:
      - {people: [ann, dan], every: 1d, starts: "2026-01-05T09:00"}
"""
FEED = """
  - name: cmoc
    role: cmoc
    feed: {{url: "{url}/s3cr3t/oncall.ics", refresh: 15m, people: {{"On call: Cid": cid}}}}
feeds: {{allow: [127.0.0.1]}}
"""
OVERRIDE = {
    "id", "state", "role", "rotation", "person", "starts", "ends", "reason", "by", "created_at", "ended_at", "ended_by",
    "end_reason",
}  # fmt: skip
ITEM = {"role", "rotation", "services", "falls_to", "zone", "now", "next", "gaps", "feed"}


@pytest.fixture
def clock() -> ManualClock:
    """Monday the 23rd of November, 04:12 in Berlin: the week of bob begins at nine."""
    return ManualClock(NOW)


@pytest_asyncio.fixture(loop_scope="module")
async def client(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Client]:
    async with in_process(tmp_path, config=CONFIG, clock=clock) as (_, client):
        yield client


def problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    return as_problem(answer, status, code or {400: "invalid", 404: "not_found"}[status])


async def override(client: Client, role: str = "eoc", **body: Any) -> httpx2.Response:
    return await client.put(f"/oncall/{role}/override", **({"person": "cid", "for": "4h", "reason": "ill"} | body))


async def now(client: Client, rotation: str = "eoc", **query: Any) -> dict[str, Any]:
    view = await client.get("/oncall", **query)
    found: dict[str, Any] = next(item for item in view["items"] if item["rotation"] == rotation)
    assert set(found) - {"shifts"} == ITEM
    return found


async def test_it_tells_who_it_is_until_when_and_who_is_next(client: Client) -> None:
    item = await now(client)
    assert item["now"] == {
        "person": "ann", "name": "Ann Smith", "starts": "2026-11-16T08:00:00Z", "ends": "2026-11-23T08:00:00Z",
        "until": "2026-11-23T08:00:00Z", "layer": "layer 1", "source": "layer", "why": "ann is on call in eoc by layer 1",
    }  # fmt: skip
    assert (item["next"]["person"], item["next"]["starts"], item["next"]["ends"]) == (
        "bob", "2026-11-23T08:00:00Z", "2026-11-30T08:00:00Z",
    )  # fmt: skip
    assert (item["gaps"], item["feed"], item["zone"]) == ([], None, "Europe/Berlin")


async def test_at_another_time_it_tells_who_it_was_or_will_be(client: Client) -> None:
    assert [(await now(client, at=at))["now"]["person"] for at in ("2026-11-30T07:59Z", "2026-11-30T08:00Z")] == ["bob", "ann"]
    assert (await now(client, at="2026-11-30T09:00+01:00"))["now"]["person"] == "ann"
    assert (await now(client, at="2025-12-31"))["now"]["person"] is None


async def test_gaps_and_double_bookings_of_four_weeks_are_found(client: Client) -> None:
    view = await client.get("/oncall")
    assert view["until"] == "2026-12-21T03:12:00Z"
    assert (await now(client, "eoc-db"))["gaps"] == []  # then eoc is asked
    first = view["double_bookings"][0]
    assert (first["people"], first["rotations"], first["text"]) == (
        ["dan"], ["eoc-db", "imoc"], "dan is on call in eoc-db and imoc at once",
    )  # fmt: skip


async def test_with_an_end_every_shift_is_told(client: Client) -> None:
    item = await now(client, at="2026-11-23T00:00Z", until="2026-12-07T00:00Z")
    assert [(shift["person"], shift["starts"][:10]) for shift in item["shifts"]] == [
        ("ann", "2026-11-23"), ("bob", "2026-11-23"), ("ann", "2026-11-30"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"at": "soon"}, "at: 'soon' is no date and time; expected one like 2026-12-24T20:00."),
        ({"until": "2020-01-01"}, "until: expected a moment after `at`, at most 366 days later."),
        ({"until": "2030-01-01"}, "until: expected a moment after `at`, at most 366 days later."),
        ({"at": "9999-12-31"}, "at: '9999-12-31' is too far away; expected a year from 1970 to 2199."),
    ],
)
async def test_a_time_that_cannot_be_is_refused(client: Client, query: dict[str, str], detail: str) -> None:
    answer = await client.http.get(f"{client.orchestrator}/api/v1/oncall", params=query)
    assert problem(answer, 400)["detail"] == detail


async def test_somebody_stands_in_and_is_named_with_who_wanted_it_and_why(client: Client, clock: ManualClock) -> None:
    answer = await override(client, reason="ann is ill")
    assert answer.status_code == 201
    assert answer.json() == {
        "id": "OV-1", "state": "active", "role": "eoc", "rotation": "eoc", "person": "cid", "starts": "2026-11-23T03:12:00Z",
        "ends": "2026-11-23T07:12:00Z", "reason": "ann is ill", "by": "admin", "created_at": "2026-11-23T03:12:00Z",
        "ended_at": None, "ended_by": None, "end_reason": None,
    }  # fmt: skip
    item = await now(client)
    assert (item["now"]["person"], item["now"]["layer"], item["now"]["source"]) == ("cid", "OV-1", "override")
    clock.advance(4 * HOUR)
    assert (await now(client))["now"]["person"] == "ann"


async def test_by_the_clocks_of_the_rotation_and_idempotent(client: Client) -> None:
    body: dict[str, Any] = {"for": None, "starts": "2026-12-24T20:00", "ends": "2026-12-26T08:00"}
    first = await override(client, **body)
    assert (first.json()["starts"], first.json()["ends"]) == ("2026-12-24T19:00:00Z", "2026-12-26T07:00:00Z")
    again = await override(client, **body)
    assert (again.status_code, again.json()) == (200, first.json())


async def test_what_cannot_be_is_refused_with_its_places(client: Client) -> None:
    wrong = await override(client, person="cidd", **{"for": "32d"})
    answer = problem(wrong, 400)
    assert [(error["pointer"], error["message"].split(";")[0]) for error in answer["errors"]] == [
        ("/person", "there is no 'cidd' under people"),
        ("/for", "it lasts longer than 31 days"),
    ]
    assert problem(await override(client, "boss"), 404)["detail"] == "'boss' is no role; expected eoc, imoc, cmoc."
    assert problem(await override(client, "cmoc"), 404)["detail"] == "No rotation is for the role cmoc."
    assert problem(await override(client, rotation="none"), 400)["errors"][0]["pointer"] == "/rotation"
    assert problem(await override(client, nonsense=1), 400)["errors"][0]["pointer"] == "/nonsense"
    assert await client.all("/oncall/overrides", all=True) == []


async def test_one_that_overlaps_another_is_refused_with_its_name(client: Client) -> None:
    await override(client)
    answer = problem(await override(client, person="dan"), 409, "overlap")
    assert answer["detail"].startswith("OV-1 has cid from 2026-11-23 03:12 UTC to 2026-11-23 07:12 UTC")
    assert (await override(client, person="dan", rotation="eoc-db")).status_code == 201


async def test_one_may_be_ended_or_called_off(client: Client, clock: ManualClock) -> None:
    await override(client)
    await override(client, starts="2026-12-24T20:00")
    clock.advance(HOUR)
    ended = await client.http.request("DELETE", f"{client.orchestrator}/api/v1/oncall/overrides/ov-1", json={"reason": "well"})
    assert (ended.status_code, ended.json()["state"], ended.json()["end_reason"]) == (200, "ended", "well")
    called_off = await client.http.delete(f"{client.orchestrator}/api/v1/oncall/overrides/2")
    assert called_off.json()["end_reason"] == "ended by hand"
    assert (await now(client))["now"]["person"] == "ann"
    assert (await now(client, at="2026-12-24T20:30Z"))["now"]["person"] == "bob"
    assert await client.all("/oncall/overrides") == []
    everything = await client.all("/oncall/overrides", all=True)
    assert [item["id"] for item in everything] == ["OV-2", "OV-1"]
    assert all(set(item) == OVERRIDE for item in everything)
    again = await client.http.delete(f"{client.orchestrator}/api/v1/oncall/overrides/OV-1")
    assert problem(again, 409, "illegal_transition")["detail"] == "OV-1 was ended by admin at 2026-11-23 04:12 UTC: well"
    for name, status in (("OV-9", 404), ("nonsense", 404)):
        assert (await client.http.delete(f"{client.orchestrator}/api/v1/oncall/overrides/{name}")).status_code == status


async def test_two_people_swap_their_shifts(client: Client) -> None:
    answer = await client.post("/oncall/eoc/swap", person="bob", **{"with": "ann"}, reason="birthday", with_at="2026-12-02T00:00")
    assert answer.status_code == 201
    assert [(each["person"], each["starts"], each["ends"]) for each in answer.json()["items"]] == [
        ("ann", "2026-11-23T08:00:00Z", "2026-11-30T08:00:00Z"),
        ("bob", "2026-11-30T08:00:00Z", "2026-12-07T08:00:00Z"),
    ]
    refused = await client.post("/oncall/eoc/swap", person="bob", **{"with": "cid"}, reason="birthday")
    assert problem(refused, 409, "no_shift")["detail"] == "cid has no shift in eoc within 62 days."


async def test_the_same_key_is_answered_the_same(client: Client) -> None:
    headers, path = {"Idempotency-Key": "k"}, f"{client.orchestrator}/api/v1/oncall/eoc/override"
    body = {"person": "cid", "for": "4h", "reason": "ill"}
    first, again = [await client.http.put(path, json=body, headers=headers) for _ in range(2)]
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(await client.http.put(path, json=body | {"person": "dan"}, headers=headers), 409, "key_reused")


async def test_calendar_programs_read_the_shifts_with_a_password(client: Client) -> None:
    path = f"{client.orchestrator}/api/v1/oncall/eoc.ics"
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.get(path)).status_code == 401
        answer = await stranger.get(path, auth=("anybody", TOKEN))
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    events = Calendar.from_ical(answer.content).walk("VEVENT")
    assert len(events) == 31
    assert str(events[0]["SUMMARY"]) == "Ann Smith is EOC (eoc)"
    assert events[0].decoded("DTSTART").isoformat() == "2026-10-19T07:00:00+00:00"
    await override(client)
    later = Calendar.from_ical((await client.http.get(path)).content).walk("VEVENT")
    kept = {str(event["UID"]) for event in events} & {str(event["UID"]) for event in later}
    assert (len(later), len(kept)) == (33, 31)
    nothing = await client.http.get(f"{client.orchestrator}/api/v1/oncall/none.ics")
    assert problem(nothing, 404)["detail"] == "There is no rotation 'none'."


async def test_only_those_who_may_respond_change_anything(tmp_path: Path, clock: ManualClock) -> None:
    hashed = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    reader = f"access: {{tokens: [{{name: reader, sha256: {hashed}, scopes: [read]}}]}}\n"
    async with in_process(tmp_path, config=CONFIG + reader, clock=clock) as (_, client):
        client.http.headers["Authorization"] = "Bearer test"
        assert (await now(client))["now"]["person"] == "ann"
        assert (await override(client)).status_code == 403
        assert (await client.post("/oncall/eoc/swap", person="bob", **{"with": "ann"}, reason="x")).status_code == 403
        assert (await client.http.delete(f"{client.orchestrator}/api/v1/oncall/overrides/1")).status_code == 403


async def test_a_calendar_is_read_changes_and_goes_away(
    tmp_path: Path, clock: ManualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    async with CalendarServer() as server:
        week = (":20261123T000000Z", ":20261130T000000Z")
        server.says["/s3cr3t/oncall.ics"] = calendar(
            an_event("On call: Cid", *week), an_event("Zoe Who", ":20261201T000000Z", ":20261202T000000Z", uid="2")
        )
        async with in_process(tmp_path, config=CONFIG + FEED.format(url=server.url), clock=clock) as (_, client):

            async def cmoc() -> dict[str, Any]:
                return await now(client, "cmoc")

            item = await eventually(cmoc, lambda item: item["now"]["person"])
            assert (item["now"]["person"], item["now"]["source"]) == ("cid", "feed")
            assert item["feed"]["unknown"] == ["Zoe Who"]
            view = await client.get("/oncall")
            assert view["warnings"] == ["the calendar of cmoc names people whom nobody knows: Zoe Who"]
            assert item["gaps"][0] == {"starts": "2026-11-30T00:00:00Z", "ends": "2026-12-21T03:12:00Z"}

            server.says["/s3cr3t/oncall.ics"] = calendar(an_event("Dan Fox", *week))
            clock.advance(timedelta(minutes=15))
            await eventually(cmoc, lambda item: item["now"]["person"] == "dan")

            server.says["/s3cr3t/oncall.ics"] = "redirect"
            clock.advance(timedelta(minutes=15))
            failing = await eventually(cmoc, lambda item: item["feed"]["failing_since"])
            assert (failing["now"]["person"], failing["feed"]["age_seconds"]) == ("dan", 900)
            assert failing["feed"]["reason"].startswith("127.0.0.1 redirects (302), which is not followed")

            metrics = (await client.http.get(f"{client.orchestrator}/metrics")).text
            assert 'tocsin_oncall_feed_age_seconds{rotation="cmoc"}' in metrics
            assert "s3cr3t" not in metrics + (await client.http.get(f"{client.orchestrator}/api/v1/oncall")).text
    assert "s3cr3t" not in "".join(capfd.readouterr())


async def test_a_reload_takes_another_calendar_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with CalendarServer() as server:
        week = (":20261123T000000Z", ":20261130T000000Z")
        server.says |= {
            "/s3cr3t/oncall.ics": calendar(an_event("ann", *week)),
            "/other/oncall.ics": calendar(an_event("bob", *week)),
        }
        async with in_process(tmp_path, config=CONFIG + FEED.format(url=server.url), clock=clock) as (process, client):

            async def person() -> Any:
                return (await now(client, "cmoc"))["now"]["person"]

            await eventually(person, lambda found: found == "ann")
            (tmp_path / "tocsin.yaml").write_text((CONFIG + FEED.format(url=server.url)).replace("s3cr3t", "other"))
            process.reload()
            assert await person() is None
            clock.advance(timedelta(seconds=LOOK))
            await eventually(person, lambda found: found == "bob")


async def test_it_survives_a_restart_with_who_stands_in_and_the_last_good_copy(tmp_path: Path, clock: ManualClock) -> None:
    async with CalendarServer() as server:
        server.says["/s3cr3t/oncall.ics"] = calendar(an_event("cid", ":20261123T000000Z", ":20261207T000000Z"))
        config = CONFIG + FEED.format(url=server.url)
        async with in_process(tmp_path, config=config, clock=clock) as (_, client):
            await override(client, **{"for": "3d"})
            await eventually(lambda: now(client, "cmoc"), lambda item: item["now"]["person"] == "cid")
    clock.advance(DAY)
    async with in_process(tmp_path, config=config, clock=clock) as (_, client):
        assert (await now(client))["now"]["person"] == "cid"
        item = await now(client, "cmoc")
        assert (item["now"]["person"], item["feed"]["age_seconds"] >= DAY.total_seconds()) == ("cid", True)
    assert clock.now() < NOW + WEEK
