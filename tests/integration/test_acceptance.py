"""The main job, with a real Alertmanager: an alert becomes a run incident, embedded and as three processes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.support import alertmanager as alertmanager_support
from tests.support.alertmanager import Alertmanager
from tests.support.stack import Stack, alertmanager_yaml, stack
from tests.support.tocsin import eventually

LABELS = {"alertname": "ErrorRateHigh", "severity": "s1", "service": "web", "env": "gprd", "instance": "web-01"}
NOTES = {
    "title": "Web error rate above 5%",
    "runbook": "https://runbooks.example.com/web",
    "dashboard": "https://d.example.com/web",
}


@pytest.fixture(params=["embedded", "three processes"])
async def system(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stack]:
    parts = {}
    if request.param != "embedded":
        parts = {"kafka": request.getfixturevalue("kafka"), "postgres": request.getfixturevalue("postgres")}
    async with stack(tmp_path, **parts) as running:
        yield running


@pytest.fixture
def alertmanager(system: Stack, pytestconfig: pytest.Config) -> Iterator[Alertmanager]:
    need(pytestconfig, "Alertmanager", alertmanager_support.unavailable())
    server = Alertmanager(alertmanager_yaml(system.webhook_url))
    server.start()
    yield server
    server.stop()


async def test_an_alert_becomes_a_run_incident(system: Stack, alertmanager: Alertmanager) -> None:
    client, slack = system.client, system.slack

    alertmanager.fire(LABELS, NOTES)
    opened = await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 1)
    assert (opened["severity"], opened["state"], opened["title"]) == ("S1", "active", NOTES["title"])
    await slack.wait_for(lambda server: len(server.messages()) == 1, timeout=10)
    root = slack.messages()[0]
    told = str(root)
    for word in ("S1", NOTES["title"], "web", NOTES["runbook"], NOTES["dashboard"]):
        assert word in told

    alertmanager.resolve(LABELS, NOTES)
    proposed = await eventually(client.incident, lambda incident: incident["proposal"])
    assert proposed["proposal"]["state"] == "mitigated"
    await slack.wait_for(lambda server: len(server.messages()) == 1 and server.calls[-1].method != "", timeout=10)

    alertmanager.fire(LABELS, NOTES)
    cleared = await eventually(client.incident, lambda incident: incident["alerts"]["firing"] == 1)
    assert (cleared["proposal"], cleared["id"]) == (None, "INC-1")

    timeline = [line["type"].split(".")[2] for line in await client.all("/incidents/INC-1/timeline") if line["seq"]]
    assert timeline == [
        "opened",
        "alerts_resolved",
        "mitigation_proposed",
        "alerts_attached",
        "proposal_cleared",
    ]
    assert len(await client.all("/incidents")) == 1
    explained = await client.get(f"/alerts/{(await client.all('/alerts'))[0]['fingerprint']}/explain")
    assert [firing["decision"]["action"] for firing in explained["firings"]] == ["attach", "open"]

    resolved = await client.post("/incidents/INC-1/resolve", reason="rolled back")
    assert resolved.json()["state"] == "resolved"
    await slack.wait_for(lambda server: "esolved" in str(server.messages()[0]), timeout=10)
    slack.assert_clean()
    if len(system.processes) == 3:
        assert len({child.process.pid for child in system.processes.values() if child.process}) == 3
