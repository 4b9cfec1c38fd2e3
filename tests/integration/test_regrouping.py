"""Merging, splitting and explaining over real HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from schemas.vocabulary import Severity
from tests.builders import an_alert, minutes, resolved
from tests.integration.test_api import INCIDENT, REASON, declare, last_line, problem
from tests.support.tocsin import Client, eventually, in_process

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEB, DOWN, SLOW = an_alert(severity="s2"), an_alert("DbDown", service="db"), an_alert("DbSlow", service="db", severity="s4")
CONFIG = """
rules:
  - {name: pages, match: ['service="db"'], severity: [S1, S2], action: open}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A Tocsin of the test's own. INC-1 (web) has one alert, INC-2 (db) two."""
    async with in_process(tmp_path, config=CONFIG) as (_, client):
        await client.send(WEB, DOWN, SLOW)
        await eventually(lambda: client.incident("INC-2"), lambda incident: incident["alerts"]["firing"] == 2)
        yield client


async def ask(client: Client, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post(f"{client.orchestrator}/api/v1{path}", json=body, headers=named)


async def explained(client: Client, fingerprint: str) -> dict[str, Any]:
    told: dict[str, Any] = await client.get(f"/alerts/{fingerprint}/explain")
    return told


class TestMerging:
    """`POST /incidents/{name}/merge`."""

    async def test_answers_with_the_incident_that_goes_on(self, client: Client) -> None:
        answer = await client.post("/incidents/inc-2/merge", into="1", reason="same cause")
        target = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (200, "/api/v1/incidents/INC-1")
        assert set(target) >= INCIDENT
        assert (target["id"], target["severity"], target["services"]) == ("INC-1", "S1", ["web", "db"])
        assert (target["alerts"]["firing"], target["alerts"]["gating"]) == (3, 2)
        source = await client.incident("INC-2")
        assert (source["state"], source["merged_into"], source["alerts"]["firing"]) == ("merged", "INC-1", 0)
        line = last_line(await client.all("/incidents/INC-2/timeline"))
        assert (line["text"], line["actor"]["name"], line["reason"]) == ("Merged into INC-1", "admin", "same cause")
        assert [item["name"] for item in await client.all("/incidents/INC-1/alerts")] == ["DbSlow", "DbDown", "ErrorRateHigh"]
        assert await client.all("/incidents/INC-2/alerts") == []

    async def test_later_alerts_go_to_the_one_that_goes_on(self, client: Client) -> None:
        await client.post("/incidents/INC-2/merge", into="INC-1", **REASON)
        await client.send(an_alert("DbFull", service="db"), resolved(DOWN, DOWN.starts_at + minutes(1)))
        target = await eventually(client.incident, lambda incident: incident["alerts"]["resolved"])
        assert (target["alerts"]["firing"], target["alerts"]["gating"]) == (3, 2)

    async def test_refusals_are_in_words_and_change_nothing(self, client: Client) -> None:
        await declare(client)
        await client.post("/incidents/INC-3/resolve", **REASON)
        before = [await client.incident(name) for name in ("INC-1", "INC-2", "INC-3")]
        for name, into, detail in (
            ("INC-1", "INC-1", "INC-1 cannot be merged into itself."),
            ("INC-3", "INC-1", "INC-3 is resolved, so it cannot merge; possible now: reopen."),
            ("INC-1", "INC-3", "INC-3 is resolved; only an open incident takes in another."),
        ):
            refused = problem(await client.post(f"/incidents/{name}/merge", into=into, **REASON), 409, "illegal_transition")
            assert refused["detail"] == detail
        for name, into in (("INC-9", "INC-1"), ("INC-1", "INC-9"), ("INC-1", "nowhere")):
            problem(await client.post(f"/incidents/{name}/merge", into=into, **REASON), 404, "not_found")
        assert [await client.incident(name) for name in ("INC-1", "INC-2", "INC-3")] == before

    async def test_what_was_merged_names_where_it_went(self, client: Client) -> None:
        await declare(client)
        await client.post("/incidents/INC-2/merge", into="INC-1", **REASON)
        into_merged = await client.post("/incidents/INC-3/merge", into="INC-2", **REASON)
        assert problem(into_merged, 409, "illegal_transition")["detail"] == "INC-2 was merged into INC-1; merge into that one."
        answer = await client.post("/incidents/INC-2/reopen", **REASON)
        assert "possible now: nothing more" in problem(answer, 409, "illegal_transition")["detail"]

    async def test_the_same_wish_twice_is_one(self, client: Client) -> None:
        body = {"into": "INC-1", **REASON}
        first, again = [await ask(client, "/incidents/INC-2/merge", body, Idempotency_Key="k1") for _ in range(2)]
        assert (first.status_code, again.status_code, first.json()) == (200, 200, again.json())
        assert again.headers["idempotency-replayed"] == "true"
        problem(await ask(client, "/incidents/INC-2/merge", body | {"reason": "else"}, Idempotency_Key="k1"), 409, "key_reused")

    async def test_only_what_was_looked_at_is_merged(self, client: Client) -> None:
        tag = (await client.http.get(f"{client.orchestrator}/api/v1/incidents/INC-2")).headers["etag"]
        await client.put("/incidents/INC-2/severity", severity="S3", **REASON)
        body = {"into": "INC-1", **REASON}
        refused = problem(await ask(client, "/incidents/INC-2/merge", body, If_Match=tag), 412, "precondition_failed")
        assert refused["detail"] == "INC-2 has changed since you looked: it is active, S3."
        assert (await ask(client, "/incidents/INC-2/merge", body, If_Match="*")).status_code == 200

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"into": "INC-1"}, "/reason"),
            (REASON, "/into"),
            ({"into": "", **REASON}, "/into"),
            ({"in": "INC-1", **REASON}, "/in"),
        ],
    )
    async def test_a_wrong_body_is_named(self, client: Client, body: dict[str, Any], pointer: str) -> None:
        refused = problem(await ask(client, "/incidents/INC-2/merge", body), 400, "invalid")
        assert pointer in {error["pointer"] for error in refused["errors"]}


class TestSplitting:
    """`POST /incidents/{name}/split`."""

    async def test_answers_with_the_new_incident(self, client: Client) -> None:
        answer = await client.post("/incidents/2/split", alerts=[SLOW.fingerprint, SLOW.fingerprint], reason="only the index")
        new = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/incidents/INC-3")
        assert set(new) >= INCIDENT
        assert (new["title"], new["severity"], new["state"], new["services"]) == ("DbSlow on db", "S4", "active", ["db"])
        assert (new["alerts"]["firing"], new["correlation_key"]) == (1, None)
        assert new["opened_by"] == {"kind": "person", "name": "admin", "policy": None}
        assert (await client.incident("INC-2"))["alerts"]["firing"] == 1
        line = (await client.get("/incidents/INC-3/timeline"))["items"][0]
        assert (line["text"], line["reason"]) == ("Split from INC-2 as S4: DbSlow on db", "split from INC-2: only the index")
        assert line["data"]["split_from"] == "INC-2"
        line = last_line(await client.all("/incidents/INC-2/timeline"))
        assert (line["text"], line["reason"]) == ("1 alert split out into INC-3: DbSlow", "only the index")

    async def test_a_title_and_a_severity_may_be_given(self, client: Client) -> None:
        body = {"alerts": [SLOW.fingerprint], "title": " The index ", "severity": "s2", **REASON}
        new = (await ask(client, "/incidents/INC-2/split", body)).json()
        assert (new["title"], new["severity"]) == ("The index", Severity.S2)

    async def test_refusals_are_in_words_and_change_nothing(self, client: Client) -> None:
        before = [await client.incident(name) for name in ("INC-1", "INC-2")]
        for name, alerts, detail in (
            ("INC-1", [WEB.fingerprint], "At least one alert must stay with INC-1."),
            ("INC-2", [WEB.fingerprint], "is no alert of INC-2; it belongs to INC-1."),
            ("INC-2", ["nobody"], "nobody is no alert of INC-2."),
        ):
            answer = await client.post(f"/incidents/{name}/split", alerts=alerts, **REASON)
            assert detail in problem(answer, 409, "illegal_transition")["detail"]
        problem(await client.post("/incidents/INC-9/split", alerts=["x"], **REASON), 404, "not_found")
        assert [await client.incident(name) for name in ("INC-1", "INC-2")] == before
        assert len(await client.all("/incidents")) == 2

    async def test_the_same_wish_twice_is_one(self, client: Client) -> None:
        body = {"alerts": [SLOW.fingerprint], **REASON}
        first, again = [await ask(client, "/incidents/INC-2/split", body, Idempotency_Key="k1") for _ in range(2)]
        assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
        assert len(await client.all("/incidents")) == 3

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            (REASON, "/alerts"),
            ({"alerts": [], **REASON}, "/alerts"),
            ({"alerts": ["x" * 65], **REASON}, "/alerts/0"),
            ({"alerts": ["a\x00b"], **REASON}, "/alerts/0"),
            ({"alerts": ["x"] * 1001, **REASON}, "/alerts"),
            ({"alerts": ["x"], "severity": "S9", **REASON}, "/severity"),
            ({"alerts": ["x"], "title": " ", **REASON}, "/title"),
            ({"alerts": ["x"]}, "/reason"),
        ],
    )
    async def test_a_wrong_body_is_named(self, client: Client, body: dict[str, Any], pointer: str) -> None:
        refused = problem(await ask(client, "/incidents/INC-2/split", body), 400, "invalid")
        assert pointer in {error["pointer"] for error in refused["errors"]}


class TestExplaining:
    """`GET …/explain` and `GET /policies/{hash}`."""

    async def test_a_firing_tells_its_rule_and_what_came_later(self, client: Client) -> None:
        await client.post("/incidents/INC-2/merge", into="INC-1", reason="same cause")
        (firing,) = (await explained(client, DOWN.fingerprint))["firings"]
        decision, (moved,) = firing["decision"], firing["later"]
        assert (decision["rule"], decision["incident"]) == ("pages", "INC-2")
        assert decision["rule_text"] == 'match: [service="db"]\nseverity: [S1, S2]\naction: open'
        assert set(moved) == {"at", "event", "incident", "reason"}
        assert (moved["event"], moved["incident"]) == ("moved", "INC-1")
        assert moved["reason"] == "INC-2 was merged into INC-1 by admin: same cause"

    async def test_a_rule_of_tocsins_own_is_told_in_a_sentence(self, client: Client) -> None:
        (firing,) = (await explained(client, WEB.fingerprint))["firings"]
        assert (
            firing["decision"]["rule_text"] == "An S1 or S2 alert opens an incident when no open one holds its correlation key."
        )

    async def test_an_incident_tells_its_rule_its_policy_and_its_alerts(self, client: Client) -> None:
        told = await client.get("/incidents/2/explain")
        assert set(told) == {"incident", "rule_text", "policy", "alerts"}
        assert (told["incident"], told["rule_text"]) == (
            await client.incident("INC-2"),
            'match: [service="db"]\nseverity: [S1, S2]\naction: open',
        )
        assert told["policy"]["hash"] == told["incident"]["opened_by"]["policy"]
        assert [(alert["name"], alert["decision"]["rule"]) for alert in told["alerts"]] == [
            ("DbDown", "pages"),
            ("DbSlow", "attach-same-key"),
        ]
        known = {"fingerprint", "name", "severity", "labels", "starts_at", "ends_at", "last_seen", "state", "decision", "later"}
        assert all(set(alert) >= known for alert in told["alerts"])

    async def test_a_policy_is_what_decided_and_nothing_else(self, client: Client) -> None:
        version = (await client.incident("INC-2"))["opened_by"]["policy"]
        kept = await client.get(f"/policies/{version}")
        assert (set(kept), kept["hash"]) == ({"hash", "first_used_at", "document"}, version)
        assert kept["document"]["rules"][0]["name"] == "pages"
        assert not {"access", "people", "slack"} & set(kept["document"])

    @pytest.mark.parametrize("path", ["incidents/INC-9/explain", "incidents/x/explain", "policies/sha256:0", "policies/%00"])
    async def test_what_is_not_there_is_404(self, client: Client, path: str) -> None:
        problem(await client.http.get(f"{client.orchestrator}/api/v1/{path}"), 404, "not_found")

    async def test_each_line_that_no_person_wrote_names_its_rule_and_a_reason(self, client: Client) -> None:
        await client.send(an_alert("Worse"), resolved(SLOW, SLOW.starts_at + minutes(1)))
        await eventually(lambda: client.incident("INC-2"), lambda incident: incident["alerts"]["resolved"])
        lines = [*await client.all("/incidents/INC-1/timeline"), *await client.all("/incidents/INC-2/timeline")]
        told = {line["actor"]["name"] for line in lines if line["seq"] is not None}
        assert told == {"open-s1-s2", "attach-same-key", "pages", "alert-resolved"}
        assert all(line["reason"] and line["actor"]["policy"] for line in lines if line["seq"] is not None)
