"""One failing or warning test for each line of `tocsin doctor`, and one where all is well."""

import hashlib
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TOPICS
from schemas.vocabulary import Role
from services.cli.doctor import duty, evidence, files, outside, standing
from services.cli.doctor.finding import Finding, Status
from services.config import AccessSection, Config, ConfigFile, SlackSection, Token
from services.orchestrator.domain.duty.rotation import Override
from services.orchestrator.store import overrides
from services.process import Settings, storage_lock
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.support.alertmanager_standin import Standin
from tests.support.calendars import CalendarServer, an_event, calendar
from tests.support.numbers import WORDS, NumberServer
from tests.support.processes import free_port
from tests.support.slack import SlackServer
from tests.unit.cli.conftest import Running, Tocsin, answering


def with_token(*tokens: Token) -> Config:
    return Config(access=AccessSection(tokens=list(tokens)))


def test_all_is_well_beside_a_running_tocsin(running: Running) -> None:
    outcome = running("doctor", "-o", "json")
    found = {finding["check"]: finding["status"] for finding in outcome.json}
    assert outcome.status == 0
    assert found == dict.fromkeys(found, "ok") | {"alerts token": "warn"}
    assert "a Tocsin runs here" in running("doctor").out


def test_before_the_first_start_nothing_fails(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("doctor", "--storage.path", str(tmp_path / "none"), "--url", f"http://127.0.0.1:{free_port()}", "-o", "json")
    assert outcome.status == 0
    assert "fail" not in {finding["status"] for finding in outcome.json}
    assert not (tmp_path / "none").exists()


def test_a_doubtful_configuration_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text("rules: [{name: a, action: open}, {name: b, action: open}, {name: c, action: open}]\n")
    config, finding = files.config(Settings(config_file=file))
    assert (config is not None, finding.status) == (True, Status.WARN)
    assert finding.text.startswith(f"{file}:1:34: warning: rules.1: 'b' never decides")
    assert finding.text.endswith("(and 1 more)")


def test_a_broken_candidate_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text("shadow: {file: candidate.yaml}\n")
    config, finding = files.config(Settings(config_file=file))
    assert (config is not None, finding.status) == (True, Status.WARN)
    assert "there is no" in finding.text
    assert finding.text.startswith(f"the candidate that is to run beside the policy cannot be used: {file}:1:10")


def test_a_broken_configuration_fails(tocsin: Tocsin, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text("nonsense: 1\nmore: 2\n")
    outcome = tocsin("doctor", "--config.file", str(file), "--storage.path", str(tmp_path))
    assert outcome.status == 1
    assert f"{file}:1:1: nonsense: unknown key" in outcome.out
    assert "(and 1 more)" in outcome.out


def test_a_storage_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert files.storage(Settings(storage=tmp_path / "file")).status is Status.FAIL


def test_a_lock_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    assert files.lock(Settings(storage=tmp_path)).status is Status.FAIL


def test_a_lock_tells_who_runs(tmp_path: Path) -> None:
    with storage_lock(tmp_path):
        assert files.lock(Settings(storage=tmp_path)).text == f"a Tocsin runs here (process {os.getpid()})"
    assert files.lock(Settings(storage=tmp_path)).text == "no Tocsin runs here"


async def test_an_embedded_bus_that_is_no_log_fails(tmp_path: Path) -> None:
    (tmp_path / "bus.db").write_text("not a database, but long enough to be taken for one" * 100)
    (finding,) = await standing.bus(Settings(storage=tmp_path))
    assert finding.status is Status.FAIL


async def test_a_kafka_that_is_away_fails() -> None:
    (finding,) = await standing.bus(Settings(kafka=f"127.0.0.1:{free_port()}", database="postgresql://x"))
    assert finding.status is Status.FAIL
    assert "TOCSIN_KAFKA" in finding.hint


@pytest.mark.parametrize(
    ("partitions", "copies", "word"),
    [(0, 0, "missing"), (3, 3, "has 3 partitions"), (None, 1, "one copy"), (None, 3, "3 copies")],
)
def test_topics_are_compared_with_what_we_would_make(partitions: int | None, copies: int, word: str) -> None:
    found = standing.topics_finding([(topic, topic.partitions if partitions is None else partitions, copies) for topic in TOPICS])
    assert word in found.text
    assert found.status is (Status.OK if word == "3 copies" else Status.WARN)


async def test_a_database_that_is_none_fails(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.db").write_text("not a database, but long enough to be taken for one" * 100)
    found = await standing.databases(Settings(storage=tmp_path))
    assert [finding.status for finding in found] == [Status.FAIL, Status.WARN]


async def test_a_database_that_is_away_fails() -> None:
    settings = Settings(kafka="x", database=f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert {finding.status for finding in await standing.databases(settings)} == {Status.FAIL}


@pytest.mark.parametrize(("revision", "status"), [(None, Status.WARN), ("from-the-future", Status.FAIL)])
async def test_tables_of_another_release_are_noticed(tmp_path: Path, revision: str | None, status: Status) -> None:
    with closing(sqlite3.connect(tmp_path / "notifier.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.executemany("INSERT INTO alembic_version VALUES (?)", [(revision,)] if revision else [])
    _, finding = await standing.databases(Settings(storage=tmp_path))
    assert finding.status is status


async def test_a_clock_that_is_wrong_fails(tmp_path: Path) -> None:
    with answering(200, "", "Sun, 01 Mar 2026 00:00:00 GMT") as url:
        assert (await standing.clock(Settings(storage=tmp_path), url)).status is Status.FAIL


def test_a_readable_admin_token_fails(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("x")
    (tmp_path / "admin-token").chmod(0o644)
    assert files.tokens(Settings(storage=tmp_path), Config())[0].status is Status.FAIL


def test_a_short_admin_token_is_warned_of(tmp_path: Path) -> None:
    statuses = [files.tokens(Settings(storage=tmp_path, admin_token=token), Config())[0].status for token in ("secret", "x" * 40)]
    assert statuses == [Status.WARN, Status.OK]


def test_the_hash_of_nothing_is_no_token(tmp_path: Path) -> None:
    empty = Token(name="a", sha256=hashlib.sha256(b"").hexdigest(), scopes=["read"])
    assert files.tokens(Settings(storage=tmp_path), with_token(empty))[1].status is Status.FAIL


def test_two_tokens_with_one_hash_are_warned_of(tmp_path: Path) -> None:
    twins = [Token(name=name, sha256="a" * 64, scopes=["read"]) for name in "ab"]
    assert files.tokens(Settings(storage=tmp_path), with_token(*twins))[1].status is Status.WARN


def test_without_a_sender_for_alerts_one_is_warned(tmp_path: Path) -> None:
    settings = Settings(storage=tmp_path)
    sender = Token(name="alertmanager", sha256="a" * 64, scopes=["alerts"])
    assert [files.tokens(settings, config)[2].status for config in (Config(), with_token(sender))] == [Status.WARN, Status.OK]


async def test_slack_without_a_token_fails(tmp_path: Path) -> None:
    for section in (SlackSection(), SlackSection(token_file=tmp_path / "none")):
        assert (await outside.slack(Settings(), Config(slack=section))).status is Status.FAIL


@pytest.mark.parametrize(("channel", "status"), [("#incidents", Status.OK), ("#nowhere", Status.FAIL)])
async def test_slack_is_asked_about_the_channel(channel: str, status: Status) -> None:
    async with SlackServer() as server:
        config = Config(slack=SlackSection(channel=channel, api_url=server.url))
        finding = await outside.slack(Settings(slack_token=server.token), config)
    assert finding.status is status
    assert channel.lstrip("#") in finding.text


PROMETHEUS = """\
prometheus: {{url: "{url}", timeout: 1s}}
slos:
  - {{name: web, match: 'service="web"', query: good, degraded: {{above: 0.01}}, outage: {{above: 0.1}}}}
  - {{name: api, match: 'service="api"', query: "{query}", degraded: {{above: 0.01}}, outage: {{above: 0.1}}}}
saturation:
  - {{name: disk, query: "{query}", above: 0.9}}
"""


async def asked_of_prometheus(folder: Path, query: str, url: str | None = None) -> list[Finding]:
    """What is found when two queries are answered by this word."""
    file = folder / "tocsin.yaml"
    async with NumberServer({"good": 0.0, "other": 0.5} | {word: word for word in WORDS}) as server:
        file.write_text(PROMETHEUS.format(url=url or server.url, query=query))
        return await evidence.prometheus(ConfigFile.open(file))


async def test_every_query_is_asked_once(tmp_path: Path) -> None:
    [finding] = await asked_of_prometheus(tmp_path, "other")
    assert (finding.status, finding.text) == (Status.OK, "3 of 3 queries are answered with a number")


@pytest.mark.parametrize(
    ("query", "status", "said", "hint"),
    [
        ("nan", Status.FAIL, "expected one number, Prometheus answered NaN", "Mend the query"),
        ("nobody_knows", Status.FAIL, "Prometheus refuses the query", "Mend the query"),
        ("empty", Status.WARN, "expected one number, Prometheus has no data", "measured for long enough"),
        ("401", Status.FAIL, "Prometheus lets nobody in with these credentials (401)", "token_file"),
        ("slow", Status.FAIL, "within 1 s", "prometheus.timeout"),
    ],
)
async def test_a_query_without_a_number_fails_at_its_place(
    tmp_path: Path, query: str, status: Status, said: str, hint: str
) -> None:
    finding = (await asked_of_prometheus(tmp_path, query))[0]
    assert finding.status is status
    assert finding.text.startswith(f"{tmp_path}/tocsin.yaml:4:41: api")
    assert said in finding.text
    assert hint in finding.hint


async def test_what_all_queries_have_in_common_is_said_once(tmp_path: Path) -> None:
    [finding] = await asked_of_prometheus(tmp_path, "good", f"http://127.0.0.1:{free_port()}")
    assert "tocsin.yaml:3:41: web (and 2 more): http://127.0.0.1:" in finding.text
    assert "Does Prometheus run there?" in finding.hint


async def test_a_prometheus_that_is_not_asked_anything_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    found = []
    for text in ("", "prometheus: {url: 'http://127.0.0.1:1'}"):
        file.write_text(text)
        found += await evidence.prometheus(ConfigFile.open(file))
    found += await evidence.prometheus(None)
    assert [finding.status for finding in found] == [Status.OK, Status.WARN, Status.WARN]


async def found_about(url: str, tmp_path: Path) -> Finding:
    file = tmp_path / "tocsin.yaml"
    file.write_text(f"alertmanager: {{urls: ['{url}'], timeout: 5s}}\n")
    return await outside.alertmanager(ConfigFile.open(file))


async def test_an_alertmanager_that_answers_is_named_with_its_release(tmp_path: Path) -> None:
    with Standin().serving() as url:
        finding = await found_about(url, tmp_path)
    assert (finding.status, finding.text) == (Status.OK, f"{url} (0.25.0) can be asked for what fires")


async def test_an_alertmanager_that_does_not_answer_is_warned_of(tmp_path: Path) -> None:
    finding = await found_about(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert finding.status is Status.WARN
    assert "cannot be asked" in finding.text
    assert "after 8h that is stale" in finding.hint


async def test_without_an_alertmanager_it_is_said_what_happens(tmp_path: Path) -> None:
    assert (await outside.alertmanager(ConfigFile.open(None))).text == (
        "not configured, an alert that was not heard of for 8h is shown as stale"
    )
    assert (await outside.alertmanager(None)).status is Status.WARN


async def test_a_server_that_is_not_ready_fails() -> None:
    with answering(503, "notifier: the database does not answer\n") as url:
        finding = await outside.server(url)
    assert finding.status is Status.FAIL
    assert "notifier: the database does not answer" in finding.text


ROTATIONS = """\
people: [{id: ann, name: Ann, slack: U1}, {id: bob, name: Bob, slack: U2}]
feeds: {allow: [127.0.0.1]}
rotations:
  - {name: eoc, role: eoc, layers: [{people: [ann], starts: 2026-01-05, until: %(until)s}]}
  - {name: imoc, role: imoc, layers: [{people: [%(imoc)s], starts: 2026-01-05}]}
  - {name: cmoc, role: cmoc, layers: [{people: [ann], starts: 2020-01-01}], services: [nobody], feed: {url: "%(url)s/cmoc.ics"}}
"""


async def asked_who_is_on_call(
    folder: Path, *, says: bytes | str = b"", until: str = "null", imoc: str = "bob", **settings: Any
) -> list[tuple[str, Status, str]]:
    """What is found, without the calendar's own people; ann is in cmoc too unless the calendar says who it is."""
    file = folder / "tocsin.yaml"
    async with CalendarServer({"/cmoc.ics": says or ALWAYS_BOBS}) as server:
        file.write_text(ROTATIONS % {"url": server.url, "until": until, "imoc": imoc})
        found = await duty.duty(Settings(storage=folder, config_file=file, **settings), ConfigFile.open(file))
    return [(finding.check, finding.status, finding.text) for finding in found]


ALWAYS_BOBS = calendar(an_event("Bob", ":20200101T000000Z", ":20990101T000000Z"))


async def test_when_somebody_is_always_on_call_all_is_well(tmp_path: Path) -> None:
    rotation = "{name: eoc, role: eoc, layers: [{people: [ann], starts: 2026-01-05}]}"
    (tmp_path / "tocsin.yaml").write_text(f"people: [{{id: ann, name: Ann, slack: U1}}]\nrotations: [{rotation}]")
    (only,) = await duty.duty(Settings(storage=tmp_path), ConfigFile.open(tmp_path / "tocsin.yaml"))
    assert (only.status, only.text) == (Status.OK, "somebody is always on call in 1 rotation for the next 28 days")


async def test_a_calendar_is_read_once_and_what_it_says_counts(tmp_path: Path) -> None:
    first, twice = await asked_who_is_on_call(tmp_path)
    assert first == ("calendar", Status.OK, "cmoc: it can be had, 1 shift")
    assert twice[1] is Status.WARN and twice[2].startswith("bob is on call in cmoc and imoc at once, from ")


@pytest.mark.parametrize(
    ("says", "status", "text"),
    [
        ("500", Status.FAIL, "cmoc: 127.0.0.1 answers 500"),
        (b"hello", Status.FAIL, "cmoc: it is no calendar: it does not begin with BEGIN:VCALENDAR"),
        (calendar(an_event("Zoe", ":20200101T000000Z", ":20990101T000000Z")), Status.WARN, "cmoc: nobody knows Zoe"),
    ],
)
async def test_a_calendar_that_cannot_be_used_is_told(tmp_path: Path, says: bytes | str, status: Status, text: str) -> None:
    assert (await asked_who_is_on_call(tmp_path, says=says))[0] == ("calendar", status, text)


async def test_a_gap_is_warned_of_with_its_length_and_begin(tmp_path: Path) -> None:
    found = await asked_who_is_on_call(tmp_path, until="2026-01-06")
    (gap,) = [text for check, status, text in found if status is Status.WARN and "nobody" in text]
    assert gap.startswith("eoc: nobody for 28 days of the next 28 days, first from ")


async def test_who_stands_in_is_known_to_the_doctor_too(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/orchestrator.db", "orchestrator")
    await migrate(database, "services.orchestrator.store.migrations")
    now = Clock().now()
    standing = Override("OV-1", 1, "eoc", Role.EOC, "bob", now, now + timedelta(days=28), "ill", "ann", now)
    async with database.transaction() as connection:
        await overrides.add(connection, standing)
    await database.stop()
    found = await asked_who_is_on_call(tmp_path, until="2026-01-06", imoc="ann")
    assert not [text for _, _, text in found if text.startswith("eoc: nobody for 28 days")]


async def test_nobody_is_looked_for_without_rotations_or_with_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("")
    (none,) = await duty.duty(Settings(storage=tmp_path), ConfigFile.open(tmp_path / "tocsin.yaml"))
    (broken,) = await duty.duty(Settings(storage=tmp_path), None)
    assert (none.status, broken.status) == (Status.OK, Status.WARN)
