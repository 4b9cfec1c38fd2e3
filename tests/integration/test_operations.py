"""What operators rely on: health, readiness, metrics, reloading, signals, the storage folder and its token."""

import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.process import Process, Settings, assemble, storage_lock
from services.runtime.auth import admin_token
from services.runtime.clock import Clock
from services.runtime.errors import ConfigError, StorageInUse
from tests.builders import an_alert
from tests.conftest import need
from tests.support.tocsin import TOKEN, Child, Client, eventually, in_process

PAGE = "severity: {map: {page: S1}}\n"
TICKET = "severity: {map: {page: S4}}\n"
BROKEN = "severity:\n  label: 7\n  mapp: {}\n"
PARTS = ("orchestrator", "notifier")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Process, Client]]:
    async with in_process(tmp_path, config=PAGE) as both:
        yield both


@pytest.fixture
def client(running: tuple[Process, Client]) -> Client:
    return running[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration in force."""
    return tmp_path / "tocsin.yaml"


@pytest.fixture
def child(tmp_path: Path, file: Path) -> Iterator[Child]:
    """`tocsin serve` as an operator would run it."""
    file.write_text(PAGE)
    child = Child("all", tmp_path / "child", {"TOCSIN_CONFIG_FILE": str(file)})
    yield child
    if child.alive():
        child.kill()


async def operate(client: Client, path: str, method: str = "GET") -> httpx2.Response:
    return await client.http.request(method, f"{client.orchestrator}{path}")


async def metrics(client: Client) -> dict[str, float]:
    """Every series with its value."""
    lines = (await operate(client, "/metrics")).raise_for_status().text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


async def decided(client: Client, name: str) -> dict[str, Any]:
    """Fire an alert with the severity `page` and wait for what is decided."""
    alert = an_alert(name, severity="page", service=name)
    await client.send(alert)
    path = f"/alerts/{alert.fingerprint}/explain"
    told = await eventually(lambda: client.get(path), lambda told: told["firings"])
    decision: dict[str, Any] = told["firings"][0]["decision"]
    return decision


class TestHealth:
    """`/-/healthy` and `/-/ready`."""

    async def test_a_running_process_is_healthy_and_becomes_ready(self, client: Client) -> None:
        assert (await operate(client, "/-/healthy")).text == "Tocsin is alive.\n"
        ready = await eventually(lambda: operate(client, "/-/ready"), lambda answer: answer.status_code == 200)
        assert ready.text == "Tocsin is ready.\n"
        assert (await operate(client, "/-/ready", "HEAD")).status_code == 200

    async def test_readiness_says_what_is_missing(self, running: tuple[Process, Client]) -> None:
        process, client = running
        await eventually(lambda: operate(client, "/-/ready"), lambda answer: answer.status_code == 200)
        await process.parts[0].stop()
        away = await eventually(lambda: operate(client, "/-/ready"), lambda answer: answer.status_code == 503)
        assert "the bus is stopped" in away.text
        assert (await operate(client, "/-/healthy")).status_code == 200

    async def test_until_it_has_started_only_the_operators_endpoints_answer(self, tmp_path: Path) -> None:
        process = assemble(Settings(port=0, storage=tmp_path, admin_token=TOKEN), Clock())
        await process.web.start()
        try:
            async with httpx2.AsyncClient(base_url=process.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
                answers = [await http.get(path) for path in ("/-/healthy", "/-/ready", "/metrics", "/api/v1/incidents")]
                assert [answer.status_code for answer in answers] == [200, 503, 200, 503]
                assert answers[1].text == "Tocsin is starting\n"
                assert (answers[3].json()["code"], answers[3].headers["retry-after"]) == ("unavailable", "5")
        finally:
            await process.web.stop()


class TestMetrics:
    """`/metrics`."""

    async def test_everything_is_zero_before_anything_happened(self, client: Client) -> None:
        seen = await metrics(client)
        for action in ("open", "attach", "triage", "record", "ignore"):
            assert seen[f'tocsin_decisions_total{{action="{action}"}}'] == 0
        for outcome in ("done", "unchanged", "refused"):
            assert seen[f'tocsin_commands_total{{outcome="{outcome}"}}'] == 0
        for part in PARTS:
            assert seen[f'tocsin_outbox_published_total{{service="{part}"}}'] == 0
            for cause in ("bus", "database", "stale", "unexpected"):
                assert seen[f'tocsin_bus_batch_failures_total{{cause="{cause}",service="{part}"}}'] == 0
        assert seen["tocsin_receipt_to_decision_seconds_count"] == 0
        counters = {name: value for name, value in seen.items() if re.match(r"tocsin_\w+_total", name)}
        assert len(counters) > 50
        assert {name: value for name, value in counters.items() if value} == {}

    async def test_every_counter_has_a_series(self, client: Client) -> None:
        text = (await operate(client, "/metrics")).text
        declared = set(re.findall(r"^# TYPE (tocsin_\S+) (?:counter|gauge)$", text, re.MULTILINE))
        shown = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line.startswith("tocsin_")}
        each = {"tocsin_slo_level", "tocsin_oncall_gap_seconds", "tocsin_oncall_feed_age_seconds"}
        assert declared - shown == each  # one for each SLO, rotation and calendar, and none is configured

    async def test_they_pass_promtool(self, client: Client, pytestconfig: pytest.Config) -> None:
        promtool = shutil.which("promtool")
        need(pytestconfig, "promtool", None if promtool else "checking metrics needs promtool (of Prometheus) on the PATH")
        await client.send(an_alert())
        await eventually(lambda: metrics(client), lambda seen: seen['tocsin_decisions_total{action="open"}'] == 1)
        text = (await operate(client, "/metrics")).text
        result = subprocess.run([str(promtool), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stdout + result.stderr) == (0, "")

    async def test_openmetrics_is_spoken_when_asked_for(self, client: Client) -> None:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.http.get(f"{client.orchestrator}/metrics", headers=accept)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")

    async def test_they_count(self, client: Client) -> None:
        await decided(client, "web")
        await client.post("/incidents/INC-1/notes", text="x")
        await client.post("/incidents/INC-1/promote", reason="x")
        seen = await eventually(
            lambda: metrics(client), lambda seen: seen['tocsin_outbox_published_total{service="orchestrator"}'] >= 2
        )
        assert seen['tocsin_commands_total{outcome="done"}'] == 1
        assert seen['tocsin_commands_total{outcome="refused"}'] == 1
        assert seen["tocsin_receipt_to_decision_seconds_count"] == 1
        assert seen['tocsin_bus_records_handled_total{service="orchestrator",topic="tocsin.alerts"}'] == 1


class TestReload:
    """`POST /-/reload`."""

    async def test_the_next_firing_is_decided_by_the_new_file(self, client: Client, file: Path) -> None:
        before = await decided(client, "before")
        file.write_text(TICKET)
        assert (await operate(client, "/-/reload", "POST")).text == "Reloaded.\n"
        after = await decided(client, "after")
        assert (before["severity"], before["action"], after["severity"], after["action"]) == ("S1", "open", "S4", "record")
        assert before["policy"] != after["policy"]
        old = await client.get(f"/alerts/{an_alert('before', severity='page', service='before').fingerprint}/explain")
        assert old["firings"][0]["decision"] == before

    async def test_a_broken_file_is_refused_and_the_old_one_holds(self, client: Client, file: Path) -> None:
        before, was = await decided(client, "before"), await metrics(client)
        file.write_text(BROKEN)
        answer = await operate(client, "/-/reload", "POST")
        assert (answer.status_code, answer.text.splitlines()) == (
            500,
            [
                f"{file}:2:3: severity.label: Input should be a valid string",
                f"{file}:3:3: severity.mapp: unknown key; did you mean 'map'?",
            ],
        )
        after, now = await decided(client, "after"), await metrics(client)
        assert (after["severity"], after["policy"]) == ("S1", before["policy"])
        assert (was["tocsin_config_last_reload_successful"], now["tocsin_config_last_reload_successful"]) == (1, 0)
        for name in ("tocsin_config_hash", "tocsin_config_last_reload_success_timestamp_seconds"):
            assert was[name] == now[name]

    async def test_metrics_tell_of_the_new_file(self, client: Client, file: Path) -> None:
        was = await metrics(client)
        file.write_text(BROKEN)
        await operate(client, "/-/reload", "POST")
        file.write_text(TICKET)
        await operate(client, "/-/reload", "POST")
        now = await metrics(client)
        assert now["tocsin_config_last_reload_successful"] == 1
        assert now["tocsin_config_hash"] != was["tocsin_config_hash"]
        name = "tocsin_config_last_reload_success_timestamp_seconds"
        assert was[name] < now[name] <= time.time()

    async def test_a_changed_include_is_another_policy_and_a_broken_one_is_refused(self, client: Client, file: Path) -> None:
        included = file.parent / "map.yaml"
        file.write_text("include: [map.yaml]\n")
        hashes = []
        for text, status in ((PAGE, 200), (TICKET, 200), (BROKEN, 500)):
            included.write_text(text)
            answer = await operate(client, "/-/reload", "POST")
            assert answer.status_code == status
            hashes.append((await metrics(client))["tocsin_config_hash"])
        assert answer.text.startswith(f"{included}:2:3: severity.label: ")
        assert (await metrics(client))["tocsin_config_last_reload_successful"] == 0
        assert hashes[0] != hashes[1] == hashes[2]
        assert (await decided(client, "after"))["severity"] == "S4"

    async def test_a_file_that_is_gone_is_refused(self, client: Client, file: Path) -> None:
        file.unlink()
        answer = await operate(client, "/-/reload", "POST")
        assert (answer.status_code, answer.text) == (500, f"{file}:0:0: cannot be read: No such file or directory\n")

    async def test_new_tokens_count_at_once(self, client: Client, file: Path) -> None:
        stranger = {"Authorization": "Bearer x"}
        url = f"{client.orchestrator}/api/v1/incidents"
        assert (await client.http.get(url, headers=stranger)).status_code == 401
        digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        file.write_text(f"access: {{tokens: [{{name: x, sha256: {digest}, scopes: [read]}}]}}")
        await operate(client, "/-/reload", "POST")
        assert (await client.http.get(url, headers=stranger)).status_code == 200
        file.write_text("")
        await operate(client, "/-/reload", "POST")
        assert (await client.http.get(url, headers=stranger)).status_code == 401


class TestSignals:
    """A process of its own."""

    @pytest.fixture
    async def outside(self, child: Child) -> AsyncIterator[Client]:
        child.start()
        await child.ready()
        client = Client(child.url, child.url, child.url)
        yield client
        await client.close()

    async def test_sighup_reloads(self, child: Child, outside: Client, file: Path) -> None:
        assert child.process
        before = await decided(outside, "before")
        file.write_text(TICKET)
        was = (await metrics(outside))["tocsin_config_hash"]
        child.process.send_signal(signal.SIGHUP)
        await eventually(lambda: metrics(outside), lambda seen: seen["tocsin_config_hash"] != was)
        after = await decided(outside, "after")
        assert (before["severity"], after["severity"]) == ("S1", "S4")
        file.write_text(BROKEN)
        child.process.send_signal(signal.SIGHUP)
        await eventually(lambda: metrics(outside), lambda seen: seen["tocsin_config_last_reload_successful"] == 0)
        assert (await decided(outside, "later"))["policy"] == after["policy"]

    async def test_the_log_tells_every_fault_and_every_warning(self, child: Child, outside: Client, file: Path) -> None:
        assert child.process
        file.write_text(BROKEN)
        assert (await operate(outside, "/-/reload", "POST")).status_code == 500
        failures = [line for line in child.log.read_text().splitlines() if "event=config_reload_failed" in line]
        assert len(failures) == 1
        assert f"{file}:2:3: severity.label: Input should be a valid string" in failures[0]
        assert f"{file}:3:3: severity.mapp: unknown key" in failures[0]
        child.process.send_signal(signal.SIGHUP)
        await eventually(self._log(child), lambda log: log.count("event=config_reload_failed") == 2)
        file.write_text("rules: [{name: a, action: record}, {name: b, action: open}]\n")
        child.process.send_signal(signal.SIGHUP)
        log = await eventually(self._log(child), lambda log: "event=config_reloaded" in log)
        assert f"{file}:1:36: warning: rules.1: 'b' never decides: 'a' ({file}:1:9) comes before it" in log
        assert (await metrics(outside))["tocsin_config_last_reload_successful"] == 1

    @staticmethod
    def _log(child: Child) -> Callable[[], Awaitable[str]]:
        async def read() -> str:
            return child.log.read_text()

        return read

    async def test_sigterm_ends_it_in_time_and_nothing_is_lost(self, child: Child, outside: Client) -> None:
        await decided(outside, "web")
        assert await child.terminate(within=10) == 0
        child.start()
        await child.ready()
        assert (await outside.incident())["state"] == "active"

    async def test_a_second_one_on_the_same_storage_is_refused_in_words(self, child: Child, outside: Client) -> None:
        assert child.process
        second = Child("all", child.folder, child.environment)
        second.start()
        assert second.process
        assert second.process.wait(30) == 1
        assert (
            f"is in use by another Tocsin (process {child.process.pid}); stop it or give --storage.path" in second.log.read_text()
        )
        assert (await operate(outside, "/-/healthy")).status_code == 200


class TestStorage:
    """The folder and the administrator's token."""

    def test_the_lock_is_for_one_at_a_time(self, tmp_path: Path) -> None:
        with storage_lock(tmp_path), pytest.raises(StorageInUse, match="is in use by another Tocsin"), storage_lock(tmp_path):
            pass
        with storage_lock(tmp_path):
            pass

    def test_the_token_is_made_once_kept_secret_and_reused(self, tmp_path: Path) -> None:
        token, path = admin_token(tmp_path / "data", None)
        assert path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (path.read_text().strip(), admin_token(tmp_path / "data", None)) == (token, (token, path))
        assert re.fullmatch(r"tocsin_[0-9A-Za-z]{38}", token)

    def test_a_given_token_is_not_written_down(self, tmp_path: Path) -> None:
        assert admin_token(tmp_path, "mine") == ("mine", None)
        assert list(tmp_path.iterdir()) == []

    async def test_the_kept_token_opens_the_door(self, child: Child) -> None:
        child.environment = {**child.environment, "TOCSIN_ADMIN_TOKEN": ""}
        child.start()
        await child.ready()
        token = (child.folder / "data" / "admin-token").read_text().strip()
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
            assert (await http.get(f"{child.url}/docs")).status_code == 200
        assert token not in child.log.read_text()

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"kafka": "k:9092"}, "TOCSIN_KAFKA and TOCSIN_DATABASE go together"),
            ({"database": "postgresql://x/y"}, "TOCSIN_KAFKA and TOCSIN_DATABASE go together"),
            ({"targets": ("ingest",)}, "serving ingest alone needs TOCSIN_KAFKA"),
        ],
    )
    def test_settings_that_cannot_run_are_refused(self, tmp_path: Path, given: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            assemble(Settings(storage=tmp_path, **given), Clock())
