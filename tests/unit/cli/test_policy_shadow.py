"""`tocsin policy shadow`: what a candidate would do otherwise, for people and for programs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.process import Process
from tests.builders import an_alert
from tests.support.tocsin import TOKEN, Client, eventually, in_process
from tests.unit.cli.conftest import Outcome, invoke

CANDIDATE = "rules: [{name: lab, match: 'env=\"lab\"', action: record}, {name: small, severity: [S3], action: triage}]\n"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Process, Client, Path]]:
    (tmp_path / "candidate.yaml").write_text(CANDIDATE)
    async with in_process(tmp_path, config="shadow: {file: candidate.yaml}\n") as (process, client):
        await eventually(lambda: client.get("/shadow"), lambda told: told["since"])
        yield process, client, tmp_path


async def ask(client: Client, *args: str) -> Outcome:
    environment = {"TOCSIN_URL": client.orchestrator, "TOCSIN_TOKEN": TOKEN}
    return await asyncio.to_thread(lambda: invoke("policy", "shadow", *args, **environment))


async def test_it_tells_what_would_be_otherwise(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    await client.send(an_alert(), an_alert("Test", env="lab"), an_alert("Small\x1b[2J", severity="s3", service="api"))
    told = await eventually(lambda: client.get("/shadow"), lambda told: told["decisions"] == 3)
    outcome = await ask(client, "--since", "1h")
    assert outcome.status == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[:3] == ["candidate candidate.yaml", told["candidate"]["policy"], f"policy {told['policy']}"]
    assert lines[3].endswith("UTC, 1 the same")
    assert lines[4] == "incidents 2 opened, 2 would be: 1 would open, 1 would not open"
    assert lines[6:9] == ["WAS WOULD BE DECISIONS", "open record 1", "record triage 1"]
    assert lines[10] == "INCIDENT WHAT OPENED (UTC) ALERT WAS WOULD BE WHY"
    assert lines[11].startswith("S-3 would open")
    assert lines[12].startswith("INC-2 would not open")
    assert "\x1b" not in outcome.out
    data = (await ask(client, "--limit", "1", "-o", "json")).json
    assert (data["decisions"], [item["would_be_incident"] for item in data["items"]]) == (3, ["S-3"])


async def test_before_anything_was_decided_it_says_so(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    lines = (await ask(client)).out.splitlines()
    assert lines[-1] == "incidents  0 opened, 0 would be"
    assert " 0 decisions since " in lines[-2]


async def test_a_broken_candidate_and_none_at_all_are_said(running: tuple[Process, Client, Path]) -> None:
    process, client, folder = running
    (folder / "candidate.yaml").write_text("zebra: 1\n")
    process.reload()
    await eventually(lambda: client.get("/shadow"), lambda told: not told["candidate"]["valid"])
    assert "candidate.yaml is broken: `tocsin check-config` tells where" in (await ask(client)).out
    (folder / "tocsin.yaml").write_text("")
    process.reload()
    outcome = await ask(client)
    assert (outcome.status, outcome.out) == (1, "")
    assert "There is no candidate" in outcome.err


async def test_a_time_that_is_none_is_refused_in_words(running: tuple[Process, Client, Path]) -> None:
    _, client, _ = running
    outcome = await ask(client, "--since", "soon")
    assert (outcome.status, "expected a moment" in outcome.err) == (1, True)
