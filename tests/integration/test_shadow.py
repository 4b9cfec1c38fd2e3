"""Shadow mode in a whole Tocsin: over HTTP, on the page and the board, through reloads and a kill."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.process import Process
from services.runtime.errors import ConfigError
from tests.builders import an_alert
from tests.support.tocsin import Client, children, eventually, in_process

CANDIDATE = """\
rules:
- {name: lab, match: 'env=\"lab\"', action: record}
- {name: small, severity: [S3], action: triage}
guard: {openings: 1000}
"""
REPORT = {
    "candidate", "policy", "since", "until", "behind", "decisions", "same", "moves", "incidents", "items", "next",
}  # fmt: skip
HOSTILE = "</style><script>alert(1)</script>{{ 7 * 7 }}\u202e"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Process, Client, Path]]:
    (tmp_path / "candidate.yaml").write_text(CANDIDATE)
    async with in_process(tmp_path, config="shadow: {file: candidate.yaml}\n") as (process, client):
        await report(client, decisions=0)
        yield process, client, tmp_path


async def report(client: Client, *, decisions: int, **asked: Any) -> dict[str, Any]:
    """The report once it has begun and so many decisions have been compared."""
    found: dict[str, Any] = await eventually(
        lambda: client.get("/shadow", **asked), lambda told: told["since"] and told["decisions"] >= decisions
    )
    assert set(found) == REPORT
    return found


async def page(client: Client, path: str = "/shadow") -> httpx2.Response:
    return await client.http.get(f"{client.orchestrator}{path}")


async def test_the_report_tells_what_would_be_otherwise(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    await client.send(an_alert(), an_alert("Test", env="lab"), an_alert("Small", severity="s3", service="api"))
    told = await report(client, decisions=3)
    assert (told["same"], told["behind"]) == (1, 0)
    assert [(item["what"], item["incident"], item["would_be_incident"]) for item in told["items"]] == [
        ("would open", None, "S-3"),
        ("would not open", "INC-2", None),
    ]
    assert len(await client.all("/incidents")) == 2
    one = await client.get("/shadow", limit=1)
    two = await client.get("/shadow", limit=1, cursor=one["next"])
    assert [item["seq"] for item in (*one["items"], *two["items"])] == [3, 2]
    assert two["next"] is None


@pytest.mark.parametrize("since", ["1h", "2026-01-01T00:00:00Z", "2026-01-01", "0001-01-01T00:00:00+14:00"])
async def test_since_is_a_moment_or_a_time(running: tuple[Process, Client, Path], since: str) -> None:
    _, client, _ = running
    await client.send(an_alert())
    assert (await report(client, decisions=1, since=since))["decisions"] == 1


@pytest.mark.parametrize("query", ["since=soon", "since=999999d", "cursor=x", "limit=0", "limit=501"])
async def test_a_question_that_makes_no_sense_is_refused_in_words(running: tuple[Process, Client, Path], query: str) -> None:
    _, client, _ = running
    answer = await page(client, f"/api/v1/shadow?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


async def test_the_page_shows_alerts_of_others_as_text(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    await client.send(an_alert(HOSTILE, severity="s3", service=HOSTILE, other=HOSTILE, long="x" * 900))
    await report(client, decisions=1)
    answer = await page(client)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert answer.text.count("</style>") == 1
    assert "{{ 7 * 7 }}" in answer.text
    assert "x" * 100 not in answer.text
    for words in ("1 would open", "S-1", "would open", "S3 in triage"):
        assert words in answer.text


async def test_the_page_pages(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    await client.send(*(an_alert("Small", severity="s3", service=f"s{number}") for number in range(60)))
    told = await report(client, decisions=60)
    shown = (await page(client, "/shadow?since=1h")).text
    assert f"?since=1h&amp;cursor={told['items'][49]['seq']}" in shown
    assert 'http-equiv="refresh"' in shown
    older = (await page(client, f"/shadow?cursor={told['items'][49]['seq']}")).text
    assert 'http-equiv="refresh"' not in older
    assert "Older ones" not in older


@pytest.mark.parametrize("path", ["/shadow", "/api/v1/shadow"])
async def test_nobody_reads_it_without_a_token(running: tuple[Process, Client, Path], path: str) -> None:
    _, client, _ = running
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.get(f"{client.orchestrator}{path}")).status_code == 401


async def test_reloads_change_the_candidate_and_a_broken_one_disturbs_nobody(running: tuple[Process, Client, Path]) -> None:
    process, client, folder = running
    first = (await client.get("/shadow"))["candidate"]["policy"]
    (folder / "candidate.yaml").write_text("zebra: 1\n")
    (folder / "tocsin.yaml").write_text("shadow: {file: candidate.yaml}\ntimers: {quiet_period: 7m}\n")
    process.reload()
    broken = await eventually(lambda: client.get("/shadow"), lambda told: not told["candidate"]["valid"])
    assert broken["candidate"]["policy"] == first
    assert "is broken" in (await page(client)).text
    await client.send(an_alert())
    await report(client, decisions=1)
    assert "tocsin_shadow_config_valid 0.0" in (await page(client, "/metrics")).text
    (folder / "candidate.yaml").write_text("timers: {quiet_period: 1m}\n")
    process.reload()
    other = await eventually(lambda: client.get("/shadow"), lambda told: told["candidate"]["policy"] != first and told["since"])
    assert (other["candidate"]["valid"], other["decisions"]) == (True, 0)
    assert "tocsin_shadow_config_valid 1.0" in (await page(client, "/metrics")).text


async def test_the_board_links_it_only_while_there_is_a_candidate(running: tuple[Process, Client, Path]) -> None:
    process, client, folder = running
    assert f'href="{client.notifier}/shadow"' in (await page(client, "/")).text
    (folder / "tocsin.yaml").write_text("")
    process.reload()
    assert "/shadow" not in (await page(client, "/")).text
    assert (await page(client, "/api/v1/shadow")).json()["detail"].startswith("There is no candidate")
    answer = await page(client)
    assert (answer.status_code, "No candidate" in answer.text) == (404, True)


async def test_a_broken_policy_is_still_refused(running: tuple[Process, Client, Path]) -> None:
    process, _, folder = running
    (folder / "tocsin.yaml").write_text("zebra: 1\n")
    with pytest.raises(ConfigError):
        process.reload()


async def test_a_kill_loses_no_comparison_and_makes_none_twice(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "tocsin.yaml").write_text("shadow: {file: candidate.yaml}\n")
    (folder / "candidate.yaml").write_text(CANDIDATE)
    environment = {"TOCSIN_CONFIG_FILE": str(folder / "tocsin.yaml")}
    async with children(tmp_path, ["all"], environment) as (started, client):
        await report(client, decisions=0)
        for round_ in range(3):
            alerts = [an_alert(f"A{round_}-{number}", severity="s3") for number in range(100)]
            assert (await client.send(*alerts)).status_code == 200
            await eventually(lambda: client.get("/shadow"), lambda told, most=round_ * 100: told["decisions"] > most)  # type: ignore[misc]
            started["all"].kill()
            started["all"].start()
            await started["all"].ready()
        assert len(await client.all("/alerts")) == 300
        told = await eventually(
            lambda: client.get("/shadow"), lambda found: found["behind"] == 0 and found["decisions"] >= 300, within=120
        )
        assert (told["decisions"], told["same"]) == (300, 0)
