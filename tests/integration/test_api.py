"""The orchestrator's HTTP API, over real HTTP and a real store: every route, every refusal, every shape."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from schemas.vocabulary import Severity
from services.runtime.auth import token_hash
from tests.builders import an_alert, resolved
from tests.support.tocsin import TOKEN, Client, eventually, in_process

SCOPES = ("alerts", "read", "respond", "admin")
TOKENS = {scope: f"tocsin_{scope}" for scope in SCOPES} | {"ann": "tocsin_ann"}
CONFIG = "people: [{id: ann, name: Ann}]\naccess:\n  tokens:\n" + "".join(
    f"    - {{name: {name}, sha256: {token_hash(token)}, scopes: [{name if name in SCOPES else 'read, respond'}]"
    f"{', person: ann' if name == 'ann' else ''}}}\n"
    for name, token in TOKENS.items()
)

INCIDENT = {
    "id", "uuid", "version", "title", "state", "severity", "highest_severity", "severity_pinned", "services", "environment",
    "correlation_key", "public_state", "owner", "roles", "security", "drill", "proposal", "alerts", "opened_at", "mitigated_at",
    "resolved_at", "next_update_due", "opened_by", "reason", "merged_into", "links", "records",
}  # fmt: skip
PROBLEM = {"type", "title", "status", "detail", "code", "errors"}
REASON = {"reason": "because"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A Tocsin of the test's own."""
    async with in_process(tmp_path, config=CONFIG) as (_, client):
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A Tocsin for the tests in which nothing may change; it has one incident, INC-1."""
    async with in_process(tmp_path_factory.mktemp("shared"), config=CONFIG) as (_, client):
        await declare(client)
        yield client


@pytest.fixture
def api(request: pytest.FixtureRequest) -> str:
    client: Client = request.getfixturevalue("shared" if "shared" in request.fixturenames else "client")
    return f"{client.orchestrator}/api/v1"


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in the answer, in its frozen shape."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == PROBLEM
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:tocsin:{code}")
    assert body["detail"]
    assert all({"pointer", "message"} <= set(error) <= {"pointer", "message", "expected"} for error in body["errors"])
    return body


async def declare(client: Client, title: str = "Checkout is down", severity: str = "S2", **more: Any) -> dict[str, Any]:
    answer = await client.post("/incidents", title=title, severity=severity, **more)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def types(client: Client, name: str = "INC-1") -> list[str]:
    lines = await client.all(f"/incidents/{name}/timeline")
    return [line["type"].split(".")[2] for line in lines if line["seq"] is not None]


def last_line(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return [line for line in lines if line["seq"] is not None][-1]


class TestDeclaring:
    """`POST /incidents`."""

    async def test_answers_with_the_incident_and_where_it_is(self, client: Client) -> None:
        body = {"title": " Checkout\nis down ", "severity": "s2", "services": ["web", "api"], "reason": "calls from customers"}
        answer = await client.post("/incidents", **body)
        incident = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/incidents/INC-1")
        assert set(incident) >= INCIDENT
        assert (incident["id"], incident["version"], incident["state"], incident["severity"]) == ("INC-1", 1, "active", "S2")
        assert (incident["title"], incident["services"], incident["reason"]) == (
            "Checkout is down", ["web", "api"], "calls from customers",
        )  # fmt: skip
        assert incident["opened_by"] == {"kind": "person", "name": "admin", "policy": None}
        again = await client.http.get(f"{client.orchestrator}{answer.headers['location']}")
        assert (again.headers["etag"], again.json()) == (answer.headers["etag"], incident)

    async def test_two_may_be_open_at_once(self, client: Client) -> None:
        assert [(await declare(client))["id"], (await declare(client))["id"]] == ["INC-1", "INC-2"]

    async def test_a_drill_is_marked(self, client: Client) -> None:
        assert (await declare(client, drill=True))["drill"] is True


class TestReading:
    """Lists, one incident, timelines, alerts."""

    async def test_a_list_is_paged_newest_first(self, client: Client) -> None:
        for number in range(5):
            await declare(client, f"number {number + 1}")
        pages, cursor = [], None
        while True:
            page = await client.get("/incidents", limit=2, **({"cursor": cursor} if cursor else {}))
            assert set(page) == {"items", "next"}
            pages.append([item["id"] for item in page["items"]])
            cursor = page["next"]
            if cursor is None:
                break
            await declare(client, "arrived while paging")
        assert pages == [["INC-5", "INC-4"], ["INC-3", "INC-2"], ["INC-1"]]

    async def test_a_full_last_page_has_no_next(self, client: Client) -> None:
        await declare(client)
        assert (await client.get("/incidents", limit=1))["next"] is None

    async def test_filters(self, client: Client) -> None:
        for severity in ("S1", "S2", "S3"):
            await declare(client, severity=severity)
        await client.post("/incidents/INC-2/resolve", **REASON)

        async def ids(**query: str) -> list[str]:
            return [item["id"] for item in (await client.get("/incidents", **query))["items"]]

        assert await ids(open="true") == ["INC-3", "INC-1"]
        assert await ids(state="resolved") == ["INC-2"]
        assert await ids(severity="S3") == ["INC-3"]
        assert await ids(severity="S3", state="resolved") == []

    @pytest.mark.parametrize("name", ["INC-1", "inc-1", "1", "01"])
    async def test_an_incident_is_found_under_each_of_its_names(self, shared: Client, name: str) -> None:
        assert (await shared.incident(name))["id"] == "INC-1"

    @pytest.mark.parametrize("name", ["INC-2", "2", "INC-0", "0", "x", "INC-1x", "%00", "INC-" + "9" * 30, "%ED%A0%80", "-1"])
    async def test_an_unknown_name_is_404(self, shared: Client, api: str, name: str) -> None:
        for path in ("", "/timeline", "/alerts"):
            problem(await shared.http.get(f"{api}/incidents/{name}{path}"), 404, "not_found")

    @pytest.mark.parametrize(
        ("path", "pointer"),
        [("incidents?limit=0", "/query/limit"), ("incidents?state=shut", "/query/state"), ("alerts?limit=501", "/query/limit")],
    )
    async def test_a_wrong_query_is_named(self, shared: Client, api: str, path: str, pointer: str) -> None:
        assert problem(await shared.http.get(f"{api}/{path}"), 400, "invalid")["errors"][0]["pointer"] == pointer

    @pytest.mark.parametrize("cursor", ["x", "-1", "9" * 19, ""])
    async def test_a_strange_cursor_is_refused(self, shared: Client, api: str, cursor: str) -> None:
        assert "`next`" in problem(await shared.http.get(f"{api}/incidents?cursor={cursor}"), 400, "invalid")["detail"]

    async def test_a_timeline_is_gapless_and_paged(self, client: Client) -> None:
        await declare(client)
        for number in range(5):
            await client.post("/incidents/INC-1/notes", text=f"note {number}")
        whole = [line["seq"] for line in await client.all("/incidents/INC-1/timeline") if line["seq"]]
        assert whole == [1, 2, 3, 4, 5, 6]
        first = await client.get("/incidents/INC-1/timeline", limit=4)
        second = await client.get("/incidents/INC-1/timeline", limit=4, cursor=first["next"])
        assert [line["seq"] for line in [*first["items"], *second["items"]] if line["seq"]] == whole
        assert (first["next"], second["next"]) == ("4", None)

    async def test_a_timeline_line_tells_who_when_what_and_why(self, client: Client) -> None:
        await declare(client, reason="calls")
        line = (await client.get("/incidents/INC-1/timeline"))["items"][0]
        assert {**line, "occurred_at": 0, "recorded_at": 0, "data": 0} == {
            "seq": 1, "type": "tocsin.incident.opened.v1", "occurred_at": 0, "recorded_at": 0, "data": 0, "reason": "calls",
            "actor": {"kind": "person", "name": "admin", "policy": None}, "text": "Opened as S2: Checkout is down",
        }  # fmt: skip
        assert line["data"]["severity"] == "S2"

    async def test_each_delivery_stands_in_exactly_one_page(self, client: Client) -> None:
        await declare(client)
        lines = await eventually(lambda: client.all("/incidents/INC-1/timeline"), lambda lines: len(lines) > 1)
        sent = [line for line in lines if line["seq"] is None]
        await client.post("/incidents/INC-1/notes", text="later")
        await client.post("/incidents/INC-1/notes", text="later still")
        paged, cursor = [], "0"
        while cursor:
            page = await client.get("/incidents/INC-1/timeline", limit=1, cursor=cursor)
            paged += page["items"]
            cursor = page["next"]
        assert [line for line in paged if line["seq"] is None] == sent
        assert [line["seq"] for line in paged if line["seq"]] == [1, 2, 3]

    async def test_alerts_of_one_incident_and_of_all(self, client: Client) -> None:
        await client.send(an_alert(), an_alert("Second"), an_alert("Minor", env="staging", severity="s4"))
        await eventually(lambda: client.all("/alerts"), lambda items: len(items) == 3)
        mine = await client.get("/incidents/INC-1/alerts", limit=1)
        rest = await client.get("/incidents/INC-1/alerts", limit=1, cursor=mine["next"])
        assert [item["name"] for item in [*mine["items"], *rest["items"]]] == ["Second", "ErrorRateHigh"]
        assert [item["decision"]["seq"] for item in await client.all("/alerts")] == [3, 2, 1]

    async def test_alerts_by_state(self, client: Client) -> None:
        alert = an_alert()
        await client.send(alert, an_alert("Second"))
        await client.send(resolved(alert, alert.starts_at + timedelta(minutes=1)))
        over = await eventually(lambda: client.all("/alerts", state="resolved"), len)
        assert [item["name"] for item in over] == ["ErrorRateHigh"]
        assert [item["name"] for item in await client.all("/incidents/INC-1/alerts", state="firing")] == ["Second"]


class TestExplaining:
    """`GET /alerts/{fingerprint}/explain`."""

    @pytest.mark.parametrize("name", ["0123456789abcdef", "%00", "x" * 500])
    async def test_is_404_until_decided(self, shared: Client, api: str, name: str) -> None:
        assert "decided" in problem(await shared.http.get(f"{api}/alerts/{name}/explain"), 404, "not_found")["detail"]

    async def test_has_the_shape_of_the_contract(self, client: Client) -> None:
        alert = an_alert()
        await client.send(alert)
        told = await eventually(lambda: client.get(f"/alerts/{alert.fingerprint}/explain"), lambda told: told["firings"])
        assert set(told) == {"fingerprint", "labels", "firings"}
        assert (told["fingerprint"], told["labels"]) == (alert.fingerprint, alert.labels)
        (firing,) = told["firings"]
        assert set(firing) == {"starts_at", "ends_at", "last_seen", "state", "muted_by", "decision", "later"}
        assert (firing["state"], firing["ends_at"], firing["later"]) == ("firing", None, [])
        decision = firing["decision"]
        assert set(decision) == {"seq", "action", "incident", "severity", "rule", "rule_text", "policy", "at", "reason", "facts"}
        assert (decision["seq"], decision["action"], decision["incident"]) == (1, "open", "INC-1")
        assert (decision["severity"], decision["rule"]) == ("S1", "open-s1-s2")
        assert decision["policy"].startswith("sha256:")
        assert decision["facts"]["correlation_key"] == "service=web,env=gprd"

    async def test_tells_every_firing_newest_first(self, client: Client) -> None:
        first = an_alert()
        again = an_alert(starts_at=first.starts_at + timedelta(minutes=3))
        for alert in (first, resolved(first, first.starts_at + timedelta(minutes=1)), again):
            await client.send(alert)
        path = f"/alerts/{first.fingerprint}/explain"
        told = await eventually(lambda: client.get(path), lambda told: len(told["firings"]) == 2)
        assert [(firing["state"], firing["decision"]["seq"]) for firing in told["firings"]] == [("firing", 2), ("resolved", 1)]


class TestChanging:
    """Everything that can be done by hand."""

    async def test_severity_is_pinned_by_a_person_until_unpinned(self, client: Client) -> None:
        await client.send(an_alert(severity="s2"))
        await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 1)
        lowered = (await client.put("/incidents/INC-1/severity", severity="s3", reason="few customers")).json()
        assert (lowered["severity"], lowered["severity_pinned"], lowered["highest_severity"]) == ("S3", True, "S2")
        await client.send(an_alert("Worse"))
        kept = await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 2)
        assert kept["severity"] == "S3"
        answer = await client.http.delete(f"{client.orchestrator}/api/v1/incidents/INC-1/severity-pin")
        assert (answer.status_code, answer.json()["severity"], answer.json()["severity_pinned"]) == (200, "S1", False)
        assert "alert-severity-floor" in last_line(await client.all("/incidents/INC-1/timeline"))["reason"]

    async def test_severity_may_be_set_without_a_pin(self, client: Client) -> None:
        await declare(client)
        answer = await client.put("/incidents/INC-1/severity", severity="S1", reason="worse", pin=False)
        assert (answer.json()["severity"], answer.json()["severity_pinned"]) == ("S1", False)

    async def test_what_changes_nothing_makes_no_event(self, client: Client) -> None:
        await declare(client)
        for _ in range(2):
            answer = await client.put("/incidents/INC-1/severity", severity="S1", **REASON)
        assert (answer.status_code, answer.json()["version"]) == (200, 2)

    async def test_the_public_state(self, client: Client) -> None:
        await declare(client)
        answer = await client.put("/incidents/INC-1/public-state", state="identified", **REASON)
        assert (answer.status_code, answer.json()["public_state"], answer.json()["state"]) == (200, "identified", "active")
        assert last_line(await client.all("/incidents/INC-1/timeline"))["text"] == "Public state investigating → identified"

    async def test_an_update_promises_the_next(self, client: Client) -> None:
        await declare(client)
        answer = await client.post("/incidents/INC-1/updates", text="We know why.", next_in="1h30m")
        incident = answer.json()
        said, due = incident["last_update"], incident["next_update_due"]
        assert (answer.status_code, said["text"], said["by"]) == (200, "We know why.", "admin")
        assert datetime.fromisoformat(due) - datetime.fromisoformat(said["at"]) == timedelta(minutes=90)

    @pytest.mark.parametrize("wrong", ["5", "0s", "8d", "soon", 30, "", "99999999999999d", None])
    async def test_a_promise_that_cannot_be_is_refused(self, shared: Client, wrong: object) -> None:
        answer = await shared.post("/incidents/INC-1/updates", text="x", next_in=wrong)
        if wrong is None:
            assert answer.json()["next_update_due"] is None
            return
        assert problem(answer, 400, "invalid")["errors"][0]["pointer"] == "/next_in"

    async def test_a_note_stands_in_the_timeline(self, client: Client) -> None:
        await declare(client)
        answer = await client.post("/incidents/INC-1/notes", text="  Tried\na restart. ")
        assert (answer.status_code, answer.json()["version"], answer.json()["last_update"]) == (200, 2, None)
        assert last_line(await client.all("/incidents/INC-1/timeline"))["text"] == "Tried\na restart."

    async def test_a_life(self, client: Client) -> None:
        await declare(client)
        states = []
        for step in ("mitigate", "reopen", "resolve", "reopen", "dismiss", "reopen", "mitigate", "resolve"):
            answer = await client.post(f"/incidents/INC-1/{step}", reason=f"to {step}")
            states.append(answer.json()["state"])
            assert answer.status_code == 200
        assert states == ["mitigated", "active", "resolved", "active", "dismissed", "active", "mitigated", "resolved"]
        assert [line["reason"] for line in await client.all("/incidents/INC-1/timeline") if line["seq"]][-1] == "to resolve"
        final = await client.incident()
        assert final["mitigated_at"] < final["resolved_at"]

    @pytest.mark.parametrize(
        ("before", "step", "possible"),
        [
            (None, "promote", "mitigate, resolve, dismiss, merge"),
            (None, "reopen", "mitigate, resolve, dismiss, merge"),
            ("mitigate", "mitigate", "resolve, reopen, merge"),
            ("mitigate", "dismiss", "resolve, reopen, merge"),
            ("resolve", "mitigate", "reopen"),
            ("resolve", "resolve", "reopen"),
            ("dismiss", "resolve", "reopen"),
        ],
    )
    async def test_an_illegal_step_is_refused_in_words(
        self, client: Client, before: str | None, step: str, possible: str
    ) -> None:
        await declare(client)
        if before:
            await client.post(f"/incidents/INC-1/{before}", **REASON)
        was = await client.incident()
        detail = problem(await client.post(f"/incidents/INC-1/{step}", **REASON), 409, "illegal_transition")["detail"]
        assert detail == f"INC-1 is {was['state']}, so it cannot {step}; possible now: {possible}."
        assert await client.incident() == was

    async def test_a_dismissed_one_keeps_its_severity(self, client: Client) -> None:
        await declare(client)
        await client.post("/incidents/INC-1/dismiss", **REASON)
        answer = await client.put("/incidents/INC-1/severity", severity="S1", **REASON)
        assert "dismissed" in problem(answer, 409, "illegal_transition")["detail"]

    async def test_reopening_yields_to_the_open_one_of_the_same_alerts(self, client: Client) -> None:
        first = an_alert()
        await client.send(first)
        await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 1)
        await client.post("/incidents/INC-1/dismiss", **REASON)
        await client.send(an_alert("Second"))
        await eventually(lambda: client.incident("INC-2"), lambda incident: incident["state"] == "active")
        answer = await client.post("/incidents/INC-1/reopen", **REASON)
        assert problem(answer, 409, "illegal_transition")["detail"].startswith("INC-2 is open for the same alerts")

    @pytest.mark.parametrize("verb", ["mitigate", "notes", "updates"])
    async def test_what_does_not_exist_cannot_change(self, shared: Client, verb: str) -> None:
        body = REASON if verb == "mitigate" else {"text": "x"}
        problem(await shared.post(f"/incidents/INC-7/{verb}", **body), 404, "not_found")


DOWN = {"title": "Down", "severity": "S1"}


class TestIdempotencyKey:
    """The same wish twice is one."""

    async def ask(self, client: Client, api: str, key: str, path: str = "/incidents", **body: Any) -> httpx2.Response:
        return await client.http.post(f"{api}{path}", json=body or DOWN, headers={"Idempotency-Key": key})

    async def test_a_repeat_is_answered_and_not_carried_out(self, client: Client, api: str) -> None:
        first, second = [await self.ask(client, api, "k1") for _ in range(2)]
        assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
        assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
        assert len(await client.all("/incidents")) == 1

    async def test_another_body_is_refused(self, client: Client, api: str) -> None:
        await self.ask(client, api, "k1")
        problem(await self.ask(client, api, "k1", title="Down", severity="S2"), 409, "key_reused")
        problem(await self.ask(client, api, "k1", "/incidents/INC-1/notes", text="x"), 409, "key_reused")
        assert len(await client.all("/incidents")) == 1

    async def test_concurrent_repeats_open_one_incident(self, client: Client, api: str) -> None:
        answers = await asyncio.gather(*(self.ask(client, api, "k1") for _ in range(20)))
        assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(201, "INC-1")}
        assert len(await client.all("/incidents")) == 1

    async def test_changes_are_repeated_neither(self, client: Client, api: str) -> None:
        await declare(client)
        for _ in range(3):
            await self.ask(client, api, "k2", "/incidents/INC-1/notes", text="once")
        assert await types(client) == ["opened", "note_added"]

    async def test_each_actor_has_keys_of_their_own(self, client: Client, api: str) -> None:
        await self.ask(client, api, "k1")
        headers = {"Idempotency-Key": "k1", "X-Tocsin-Actor": "bob"}
        answer = await client.http.post(f"{api}/incidents", json=DOWN, headers=headers)
        assert (answer.status_code, answer.json()["id"]) == (201, "INC-2")

    async def test_a_refused_wish_may_be_tried_again_under_its_key(self, client: Client, api: str) -> None:
        await declare(client)
        problem(await self.ask(client, api, "k3", "/incidents/INC-1/reopen", **REASON), 409, "illegal_transition")
        await client.post("/incidents/INC-1/resolve", **REASON)
        assert (await self.ask(client, api, "k3", "/incidents/INC-1/reopen", **REASON)).status_code == 200

    @pytest.mark.parametrize("key", ["", "x" * 256])
    async def test_a_strange_key_is_refused(self, shared: Client, api: str, key: str) -> None:
        problem(await self.ask(shared, api, key), 400, "invalid")


class TestIfMatch:
    """Nobody overwrites what they have not seen."""

    async def put(self, client: Client, api: str, tag: str) -> httpx2.Response:
        body = {"severity": "S1", "reason": "because"}
        return await client.http.put(f"{api}/incidents/INC-1/severity", json=body, headers={"If-Match": tag})

    async def tag(self, client: Client, api: str) -> str:
        return str((await client.http.get(f"{api}/incidents/INC-1")).headers["etag"])

    async def test_an_outdated_look_is_refused(self, client: Client, api: str) -> None:
        await declare(client)
        tag = await self.tag(client, api)
        await client.put("/incidents/INC-1/severity", severity="S3", **REASON)
        before = await client.incident()
        assert "S3" in problem(await self.put(client, api, tag), 412, "precondition_failed")["detail"]
        assert await client.incident() == before

    @pytest.mark.parametrize("form", ["{}", "*", '"other", {}'])
    async def test_the_present_state_passes(self, client: Client, api: str, form: str) -> None:
        await declare(client)
        answer = await self.put(client, api, form.format(await self.tag(client, api)))
        assert (answer.status_code, answer.json()["severity"]) == (200, "S1")
        assert answer.headers["etag"] == await self.tag(client, api)

    async def test_a_storm_of_alerts_spoils_nothing(self, client: Client, api: str) -> None:
        await client.send(an_alert(severity="s2"))
        await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 1)
        tag = await self.tag(client, api)
        await client.send(*(an_alert(severity="s2", instance=f"web-{number}") for number in range(50)))
        await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 51)
        assert (await self.put(client, api, tag)).status_code == 200


class TestActors:
    """Who did it."""

    async def by(self, client: Client, api: str, token: str, **headers: str) -> httpx2.Response:
        return await client.http.post(f"{api}/incidents", json=DOWN, headers=bearer(token) | headers)

    async def test_a_token_acts_as_its_person_else_by_its_name(self, client: Client, api: str) -> None:
        names = [(await self.by(client, api, TOKENS[name])).json()["opened_by"]["name"] for name in ("ann", "respond")]
        assert names == ["ann", "respond"]

    async def test_an_administrator_may_act_for_others(self, client: Client, api: str) -> None:
        answer = await self.by(client, api, TOKEN, **{"X-Tocsin-Actor": "bob"})
        assert answer.json()["opened_by"]["name"] == "bob"

    async def test_nobody_else_may(self, shared: Client, api: str) -> None:
        answer = await self.by(shared, api, TOKENS["ann"], **{"X-Tocsin-Actor": "bob"})
        assert "X-Tocsin-Actor" in problem(answer, 403, "forbidden")["detail"]
        assert len(await shared.all("/incidents")) == 1

    async def test_nobody_is_no_actor(self, shared: Client, api: str) -> None:
        problem(await self.by(shared, api, TOKEN, **{"X-Tocsin-Actor": ""}), 400, "invalid")


class TestBadBodies:
    """Whatever is sent is refused in words, never by a fault of ours."""

    @pytest.mark.parametrize(
        ("body", "pointer", "words"),
        [
            ({"title": "x", "severity": "S1", "pinn": True}, "/pinn", "Extra inputs"),
            ({"title": "x", "severity": "S1", "a/b~": 1}, "/a~1b~0", "Extra inputs"),
            ({"title": "x", "severity": "S5"}, "/severity", "'S1', 'S2', 'S3' or 'S4'"),
            ({"title": "x", "severity": 1}, "/severity", "'S1', 'S2', 'S3' or 'S4'"),
            ({"severity": "S1"}, "/title", "required"),
            ({"title": "", "severity": "S1"}, "/title", "at least 1 character"),
            ({"title": "\x01\x02", "severity": "S1"}, "/title", "can be read"),
            ({"title": "x" * 201, "severity": "S1"}, "/title", "at most 200 characters"),
            ({"title": "x\x00", "severity": "S1"}, "/title", "NUL"),
            ({"title": 7, "severity": "S1"}, "/title", "string"),
            ({"title": "x", "severity": "S1", "services": "web"}, "/services", "list"),
            ({"title": "x", "severity": "S1", "services": ["web", ""]}, "/services/1", "at least 1 character"),
            ({"title": "x", "severity": "S1", "services": ["x"] * 21}, "/services", "at most 20 items"),
            ({"title": "x", "severity": "S1", "reason": "x" * 4001}, "/reason", "at most 4000 characters"),
        ],
    )
    async def test_the_place_is_named(self, shared: Client, body: dict[str, Any], pointer: str, words: str) -> None:
        (error,) = problem(await shared.post("/incidents", **body), 400, "invalid")["errors"]
        assert error["pointer"] == pointer
        assert words in error["message"]

    async def test_what_was_expected_is_told_apart(self, shared: Client) -> None:
        (error,) = problem(await shared.post("/incidents", title="x", severity="bad"), 400, "invalid")["errors"]
        assert all(severity in error["expected"] for severity in Severity)

    @pytest.mark.parametrize(
        ("raw", "kind"),
        [
            (b"", "application/json"),
            (b"{oops", "application/json"),
            (b"null", "application/json"),
            (b"[]", "application/json"),
            (b"\xff\xfe", "application/json"),
            (b'{"title":"x","severity":"S1"', "application/json"),
            (b'{"title":NaN,"severity":"S1"}', "application/json"),
            (b'{"title":' + b"1" * 5000 + b',"severity":"S1"}', "application/json"),
            (b"[" * 100_000, "application/json"),
            (rb'{"title":"\ud800","severity":"S1"}', "application/json"),
            (rb'{"title":"x","severity":"S1","\udfff":1}', "application/json"),
            (rb'{"title":"x","severity":"S1","reason":"\u0000"}', "application/json"),
            (b'{"title":"x","severity":"S1"}', "text/plain"),
            (b"title=x&severity=S1", "application/x-www-form-urlencoded"),
            (b"\x00" * 1000, "multipart/form-data"),
            (b'{"title":"\xff","severity":"S1"}', "application/json; charset=latin-1"),
        ],
    )
    async def test_what_is_no_wish_is_400(self, shared: Client, api: str, raw: bytes, kind: str) -> None:
        problem(await shared.http.post(f"{api}/incidents", content=raw, headers={"Content-Type": kind}), 400, "invalid")
        assert len(await shared.all("/incidents")) == 1

    async def test_too_much_is_413_whether_announced_or_not(self, shared: Client, api: str) -> None:
        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b" " * 100_000

        headers = {"Content-Type": "application/json"}
        problem(await shared.http.post(f"{api}/incidents", content=b" " * 5_000_000, headers=headers), 413, "too_large")
        problem(await shared.http.post(f"{api}/incidents", content=unannounced(), headers=headers), 413, "too_large")

    async def test_many_faults_are_not_all_told(self, shared: Client) -> None:
        body = {f"unknown{number}": 1 for number in range(500)}
        assert len(problem(await shared.post("/incidents", **body), 400, "invalid")["errors"]) == 100

    async def test_hostile_text_comes_back_as_it_was_said_but_for_control_characters(self, client: Client) -> None:
        hostile = "\u202e<script>alert(1)</script> <!channel> /close\n\u2028😀 \ufdd0\x1b[31m"
        await declare(client)
        await client.post("/incidents/INC-1/notes", text=hostile)
        assert last_line(await client.all("/incidents/INC-1/timeline"))["text"] == hostile.strip().replace("\x1b", " ")

    async def test_routes_and_methods_that_are_not_there(self, shared: Client, api: str) -> None:
        problem(await shared.http.get(f"{api}/nothing"), 404, "not_found")
        problem(await shared.http.delete(f"{api}/incidents"), 405, "method_not_allowed")


_STEPS = ("mitigate", "resolve", "reopen", "dismiss", "promote")
NEEDS: dict[tuple[str, str], tuple[str, object]] = {
    ("get", "/api/v1/incidents"): ("read", None),
    ("post", "/api/v1/incidents"): ("respond", {"title": "x", "severity": "S1"}),
    ("get", "/api/v1/incidents/{name}"): ("read", None),
    ("get", "/api/v1/incidents/{name}/timeline"): ("read", None),
    ("get", "/api/v1/incidents/{name}/alerts"): ("read", None),
    ("get", "/api/v1/alerts"): ("read", None),
    ("get", "/api/v1/triage"): ("read", None),
    ("get", "/api/v1/alerts/{fingerprint}/explain"): ("read", None),
    ("get", "/api/v1/incidents/{name}/explain"): ("read", None),
    ("get", "/api/v1/policies/{hash}"): ("read", None),
    ("put", "/api/v1/incidents/{name}/severity"): ("respond", {"severity": "S1", **REASON}),
    ("delete", "/api/v1/incidents/{name}/severity-pin"): ("respond", None),
    ("put", "/api/v1/incidents/{name}/public-state"): ("respond", {"state": "identified", **REASON}),
    ("post", "/api/v1/incidents/{name}/updates"): ("respond", {"text": "x"}),
    ("post", "/api/v1/incidents/{name}/notes"): ("respond", {"text": "x"}),
    **{("post", f"/api/v1/incidents/{{name}}/{step}"): ("respond", REASON) for step in _STEPS},
    ("post", "/api/v1/incidents/{name}/merge"): ("respond", {"into": "INC-98", **REASON}),
    ("post", "/api/v1/incidents/{name}/split"): ("respond", {"alerts": ["none"], **REASON}),
    ("get", "/api/v1/maintenance"): ("read", None),
    ("post", "/api/v1/maintenance"): ("respond", {"name": "x", "match": ["a=b"], "duration": "1s", **REASON}),
    ("post", "/api/v1/maintenance/{name}/end"): ("respond", REASON),
    ("get", "/api/v1/shadow"): ("read", None),
    ("get", "/api/v1/oncall"): ("read", None),
    ("get", "/api/v1/oncall/{name}.ics"): ("read", None),
    ("get", "/api/v1/oncall/overrides"): ("read", None),
    ("put", "/api/v1/oncall/{role}/override"): ("respond", {"person": "ann", "for": "1h", **REASON}),
    ("post", "/api/v1/oncall/{role}/swap"): ("respond", {"person": "ann", "with": "bob", **REASON}),
    ("delete", "/api/v1/oncall/overrides/{name}"): ("respond", REASON),
    ("get", "/api/v1/deliveries"): ("read", None),
    ("post", "/api/v1/deliveries/{id}/retry"): ("respond", None),
}
"""What each route needs, and a body that it takes."""
UNLISTED: dict[tuple[str, str], tuple[str, object]] = {
    ("get", "/docs"): ("read", None),
    ("post", "/-/reload"): ("admin", None),
    ("post", "/webhooks/alertmanager"): ("alerts", {"version": "4", "alerts": []}),
    ("get", "/-/healthy"): ("", None),
    ("get", "/-/ready"): ("", None),
    ("get", "/metrics"): ("", None),
}
"""Routes that the description leaves out."""
CALLERS = {"none": frozenset[str](), "bad": frozenset[str]()} | {
    scope: frozenset(SCOPES) if scope == "admin" else frozenset({scope}) for scope in SCOPES
}


class TestAccess:
    """Who is let in where."""

    async def described(self, client: Client) -> set[tuple[str, str]]:
        paths = (await client.http.get(f"{client.orchestrator}/docs")).raise_for_status().json()["paths"]
        return {(method, path) for path, methods in paths.items() for method in methods}

    async def test_every_route_is_in_the_matrix(self, shared: Client) -> None:
        assert await self.described(shared) == set(NEEDS)

    @pytest.mark.parametrize("caller", CALLERS)
    async def test_the_matrix(self, shared: Client, caller: str) -> None:
        ready = f"{shared.orchestrator}/-/ready"
        await eventually(lambda: shared.http.get(ready), lambda answer: answer.status_code == 200)
        async with httpx2.AsyncClient() as stranger:
            for (method, path), (needed, body) in (NEEDS | UNLISTED).items():
                url = shared.orchestrator + path.format(name="INC-99", fingerprint="none", id="none", hash="none", role="eoc")
                headers = {} if caller == "none" else bearer(TOKENS.get(caller, "tocsin_wrong"))
                answer = await stranger.request(method, url, json=body, headers=headers)
                if not needed or needed in CALLERS[caller]:
                    assert answer.status_code in {200, 201, 404}, (method, path, answer.text)
                elif caller in {"none", "bad"}:
                    problem(answer, 401, "unauthorized")
                    assert "Basic" in answer.headers["www-authenticate"]
                else:
                    assert repr(needed) in problem(answer, 403, "forbidden")["detail"]

    async def test_basic_works_with_any_user(self, shared: Client, api: str) -> None:
        async with httpx2.AsyncClient() as stranger:
            for user in ("", "anybody"):
                word = base64.b64encode(f"{user}:{TOKENS['read']}".encode()).decode()
                answer = await stranger.get(f"{api}/incidents", headers={"Authorization": f"Basic {word}"})
                assert answer.status_code == 200

    @pytest.mark.parametrize("header", ["", "Bearer", "Basic x", "Basic ////", "Digest a", "\xff", "Bearer tocsin_read x"])
    async def test_a_broken_header_is_401(self, shared: Client, api: str, header: str) -> None:
        async with httpx2.AsyncClient() as stranger:
            answer = await stranger.get(f"{api}/incidents", headers=[(b"Authorization", header.encode("latin-1"))])
            problem(answer, 401, "unauthorized")
        assert await shared.all("/incidents")
