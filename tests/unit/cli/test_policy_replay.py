"""`policy replay`: a storage that others decided in, and a policy that would have decided otherwise."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from services.runtime.clock import ManualClock
from services.runtime.db import Database
from tests.builders import NOW, minutes
from tests.support.shadowing import House
from tests.unit.cli.conftest import Outcome, Running, invoke

POLICY = """\
severity:
  rules: [{name: two-hosts, severity: S2, breadth: {of: instance, at_least: 2, within: 10m}}]
rules:
  - {name: lab, match: 'env="lab"', action: record}
slos: []
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Four alerts: one that opened as it should, one of a lab that did, and two of one service that were only recorded."""
    asyncio.run(_decide(tmp_path))
    return tmp_path


async def _decide(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/orchestrator.db", "orchestrator")
    house = await House(database, clock=ManualClock(NOW)).start()
    await house.fire("Down")
    await house.fire("Test\x1b[2J", env="lab", severity="s2")
    for instance in "12":
        house.pass_time(minutes=1)
        await house.fire("Slow", severity="s4", service="db", instance=instance)
    await database.stop()


def ask(policy: Path, storage: Path, since: str = "2026-11-23", *more: str) -> Outcome:
    """`tocsin policy replay` on the storage."""
    return invoke("policy", "replay", "--policy", str(policy), "--storage.path", str(storage), "--since", since, *more)


def test_it_tells_what_would_have_been_different_and_why(policy: Path, storage: Path) -> None:
    done = ask(policy, storage)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[1] == "compared   4 decisions since 2026-11-23 00:00:00 UTC, 2 the same"
    assert lines[2] == "incidents  2 were opened, 2 would have been"
    assert [line.split() for line in lines[4:7]] == [
        ["WAS", "WOULD", "BE", "DECISIONS"],
        *[["open", "record", "1"], ["record", "open", "1"]],
    ]
    would_not, would = lines[9:]
    assert would_not.startswith("INC-2     would not open  2026-11-23 03:12:00")
    assert would_not.endswith("rule lab says record.")
    assert would.startswith("NEW-1     would open      2026-11-23 03:14:00  Slow")
    assert "second instance firing within 10m (1, 2), rule two-hosts" in would
    assert "\x1b" not in done.out


def test_it_tells_programs_the_same(policy: Path, storage: Path) -> None:
    told = ask(policy, storage, "2026-11-23T03:12:00+00:00", "--limit", "1", "-o", "json").json
    assert (told["decisions"], told["same"], told["by_another_rule"], told["differences"], len(told["items"])) == (4, 2, 0, 2, 1)
    assert told["incidents"] == {"was": 2, "would_be": 2}
    assert told["changes"] == [
        {"was": "open", "would_be": "record", "count": 1},
        {"was": "record", "would_be": "open", "count": 1},
    ]
    assert told["items"][0] | {"why": ""} == {
        "what": "would not open", "at": "2026-11-23 03:12:00.000001+00:00", "incident": "INC-2", "alert": "Test [2J on web",
        "was": "S2", "would_be": "nothing", "why": "",
    }  # fmt: skip


def test_the_policy_in_force_changes_nothing(tmp_path: Path, storage: Path) -> None:
    (tmp_path / "same.yaml").write_text("")
    done = invoke(
        "policy", "replay", "--policy", str(tmp_path / "same.yaml"), "--storage.path", str(storage), "--since", "2026-11-23"
    )
    assert "4 decisions since 2026-11-23 00:00:00 UTC, all the same\n" in done.out
    assert done.out.endswith("Each incident would have been the same.\n")


def test_service_levels_that_nobody_has_looked_at_are_named(tmp_path: Path, storage: Path) -> None:
    level = "{name: web-errors, match: 'service=\"web\"', query: up, degraded: {below: 1}, outage: {below: 0.5}}"
    (tmp_path / "slo.yaml").write_text(f"prometheus: {{url: http://localhost:9090}}\nslos: [{level}]\n")
    done = invoke(
        "policy", "replay", "--policy", str(tmp_path / "slo.yaml"), "--storage.path", str(storage), "--since", "2026-11-23"
    )
    assert "no decision has looked at these SLOs, so they count for nothing: web-errors\n" in done.out


def test_a_broken_policy_is_located(tmp_path: Path, storage: Path) -> None:
    (tmp_path / "broken.yaml").write_text("rules:\n  - {name: x, action: opn}\n")
    done = ask(tmp_path / "broken.yaml", storage)
    assert done.status == 2
    assert done.err.startswith(f"{tmp_path}/broken.yaml:2:15: rules.0.action: ")


@pytest.mark.parametrize("since", ["yesterday", "", "2026-13-01", "99999999d"])
def test_a_time_that_is_none_is_wrong_usage(policy: Path, storage: Path, since: str) -> None:
    done = ask(policy, storage, since)
    assert done.status == 2
    assert "expected a time like 30d or a moment like" in " ".join(done.err.replace("│", " ").split())


def test_what_there_is_not_is_said(policy: Path, storage: Path, tmp_path: Path) -> None:
    nowhere = ask(policy, tmp_path / "none")
    assert (nowhere.status, "none/orchestrator.db does not exist" in nowhere.err) == (1, True)
    assert not (tmp_path / "none").exists()
    later = f"{NOW + minutes(60):%Y-%m-%dT%H:%M}"
    nothing = ask(policy, storage, later)
    assert (nothing.status, "nothing has been decided since 2026-11-23 04:12:00 UTC" in nothing.err) == (1, True)


def test_tables_of_another_release_are_not_read(policy: Path, storage: Path) -> None:
    with sqlite3.connect(storage / "orchestrator.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    done = ask(policy, storage)
    assert (done.status, "the tables are of revision 0001, and this release reads" in done.err) == (1, True)


def test_a_file_that_is_no_database_is_said_to_be_none(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "orchestrator.db").write_text("this is not a database, however long it may be" * 100)
    done = ask(policy, tmp_path)
    assert (done.status, "Is " in done.err, "a whole file?" in done.err) == (1, True, True)


def test_it_reads_beside_a_tocsin_that_runs(running: Running, policy: Path) -> None:
    running("fire", "Down", "--severity", "s1", "--label", "service=web")
    for _ in range(100):
        if "INC-1" in running("incident", "list").out:
            break
    done = ask(policy, running.storage, "1h")
    assert (done.status, "1 decision since" in done.out) == (0, True)
