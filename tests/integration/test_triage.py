"""`GET /api/v1/triage` and the evidence behind it, in a whole Tocsin beside a Prometheus that can be told what to say."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.process import Process
from tests.builders import an_alert
from tests.support.numbers import NumberServer
from tests.support.tocsin import Client, eventually, in_process

CONFIG = """\
prometheus: {{url: "{url}", refresh: 1s, timeout: 1s}}
slos:
  - name: web-errors
    match: 'service="web"'
    query: web_errors
    degraded: {{above: 0.01}}
    outage: {{above: 0.1}}
    dashboard: https://grafana.example/d/web
saturation:
  - {{name: disk, query: disk_used, above: 0.9, dashboard: "https://grafana.example/d/disk"}}
"""
TRIAGE = {
    "at", "verdict", "summary", "reasons", "command", "start", "services", "more_services", "slos", "saturation", "prometheus",
    "maintenance", "incidents", "more_incidents",
}  # fmt: skip


@pytest.fixture
async def numbers() -> AsyncIterator[NumberServer]:
    async with NumberServer() as server:
        server.says |= {"web_errors": 0.0, "disk_used": 0.5}
        yield server


@pytest.fixture
async def running(tmp_path: Path, numbers: NumberServer) -> AsyncIterator[tuple[Process, Client]]:
    async with in_process(tmp_path, config=CONFIG.format(url=numbers.url)) as both:
        yield both


@pytest.fixture
def client(running: tuple[Process, Client]) -> Client:
    return running[1]


async def triage(client: Client, verdict: str) -> dict[str, Any]:
    """What is answered once the verdict is this one."""
    found: dict[str, Any] = await eventually(lambda: client.get("/triage"), lambda told: told["verdict"] == verdict)
    assert set(found) == TRIAGE
    return found


async def test_when_all_is_well_it_is_quiet(client: Client) -> None:
    told = await triage(client, "quiet")
    assert (told["reasons"], told["command"], told["start"], told["incidents"], told["services"]) == ([], None, None, [], [])
    [slo], [disk] = told["slos"], told["saturation"]
    assert (slo["level"], slo["value"], slo["dashboard"]) == ("ok", 0.0, "https://grafana.example/d/web")
    assert (disk["saturated"], disk["value"], disk["dashboard"]) == (False, 0.5, "https://grafana.example/d/disk")
    assert told["prometheus"] == {"configured": True}


async def test_an_outage_without_an_incident_tells_what_to_type_and_with_one_it_does_not(
    client: Client, numbers: NumberServer
) -> None:
    numbers.says["web_errors"] = 0.5
    told = await triage(client, "incident")
    assert told["summary"] == "Yes, and nobody has started an incident yet."
    assert told["command"] == "tocsin incident declare 'web-errors: outage' --severity s1 --service=web"
    assert (await client.post("/incidents", **told["start"])).status_code == 201
    told = await triage(client, "incident")
    assert (told["summary"], told["command"], told["slos"][0]["incidents"]) == ("Yes: INC-1 is open.", None, ["INC-1"])
    assert [incident["id"] for incident in told["incidents"]] == ["INC-1"]


async def test_alerts_are_counted_by_service(client: Client) -> None:
    await client.send(an_alert("A", severity="s1"), an_alert("B", severity="s3", service="db"), an_alert("C", severity="s3"))
    told: dict[str, Any] = await eventually(lambda: client.get("/triage"), lambda told: len(told["services"]) == 2)
    web, db = told["services"]
    assert (web["service"], web["firing"]["S1"], web["firing"]["S3"], web["incidents"]) == ("web", 1, 1, ["INC-1"])
    assert (db["service"], db["firing"], db["incidents"]) == ("db", {"S1": 0, "S2": 0, "S3": 1, "S4": 0, "unrated": 0}, [])
    assert (db["muted"], db["stale"]) == (0, 0)
    assert db["oldest_start"]
    assert told["verdict"] == "incident"


async def test_a_prometheus_that_hangs_or_is_gone_is_unknown_and_holds_nothing_up(client: Client, numbers: NumberServer) -> None:
    numbers.says |= {"web_errors": "slow", "disk_used": "reset"}
    told = await eventually(lambda: client.get("/triage"), lambda told: "within 1 s" in str(told["reasons"]))
    assert (told["verdict"], told["slos"][0]["level"], told["saturation"][0]["saturated"]) == ("unclear", "unknown", None)
    await client.send(an_alert())
    assert (await eventually(client.incident, lambda incident: incident["id"]))["severity"] == "S1"


async def test_without_a_prometheus_it_says_so(tmp_path: Path) -> None:
    async with in_process(tmp_path) as (_, client):
        told = await client.get("/triage")
    assert (told["verdict"], told["prometheus"], told["slos"]) == ("unclear", {"configured": False}, [])
    assert told["reasons"] == ["no Prometheus is configured: Tocsin cannot see how the services are; look at your dashboards"]


async def test_a_reloaded_configuration_is_asked_at_the_next_round(
    running: tuple[Process, Client], tmp_path: Path, numbers: NumberServer
) -> None:
    process, client = running
    await triage(client, "quiet")
    numbers.says["other"] = 0.05
    (tmp_path / "tocsin.yaml").write_text(CONFIG.format(url=numbers.url).replace("query: web_errors", "query: other"))
    process.reload()
    assert (await triage(client, "likely"))["slos"][0]["value"] == 0.05
