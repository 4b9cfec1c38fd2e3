"""Why it went quiet, with a real Alertmanager: silenced, inhibited, killed, cut off, one of two away.

Alertmanager lives in real time. Tocsin's clock stands still and is moved on by hand, which does a round of asking.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.process import Process
from services.runtime.clock import ManualClock
from tests.conftest import need
from tests.support import alertmanager as alertmanager_support
from tests.support.alertmanager import Alertmanager
from tests.support.processes import free_port
from tests.support.stack import alertmanager_yaml
from tests.support.tocsin import Client, eventually, in_process

WEB = {"alertname": "ErrorRateHigh", "severity": "s1", "service": "web", "env": "gprd", "instance": "web-1"}
OTHER = WEB | {"instance": "web-2"}
INHIBITION = """\
inhibit_rules:
  - source_matchers: [alertname="NodeDown"]
    target_matchers: [alertname="ErrorRateHigh"]
    equal: [service]
"""


@pytest.fixture
def alertmanager(pytestconfig: pytest.Config) -> Iterator[Alertmanager]:
    """Not yet started: it has to know where Tocsin listens."""
    need(pytestconfig, "Alertmanager", alertmanager_support.unavailable())
    server = Alertmanager("", alone=True)
    yield server
    server.stop()


@dataclass
class Scene:
    """Both, running."""

    process: Process
    client: Client
    alertmanager: Alertmanager
    clock: ManualClock

    async def pass_time(self, step: timedelta) -> None:
        """Move Tocsin's clock on, and wait until it has done a round of asking."""
        before = await self.rounds()
        self.clock.advance(step)
        await eventually(self.rounds, lambda rounds: rounds > before)

    async def rounds(self) -> float:
        """How often Alertmanager was asked."""
        return sum(value for name, value in (await self.metrics()).items() if "reconcile_total" in name)

    async def metrics(self) -> dict[str, float]:
        text = (await self.client.http.get(f"{self.client.orchestrator}/metrics")).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def counts(self) -> dict[str, int]:
        alerts = (await self.client.incident())["alerts"]
        return {state: count for state, count in alerts.items() if count}

    async def become(self, **counts: int) -> None:
        """Wait until the incident counts this and nothing else."""
        await eventually(self.counts, lambda found: found == counts)

    async def come_to(self, **counts: int) -> None:
        """Have rounds until the incident counts this: Alertmanager needs a moment to know what it inhibits."""
        for _ in range(10):
            await self.pass_time(MINUTE)
            if await self.counts() == counts:
                return
        assert await self.counts() == counts

    async def events(self) -> list[dict[str, Any]]:
        lines = await self.client.all("/incidents/INC-1/timeline")
        return [line | {"word": line["type"].split(".")[2]} for line in lines if line["seq"]]

    async def words(self) -> list[str]:
        return [event["word"] for event in await self.events()]

    async def alert(self, state: str) -> dict[str, Any]:
        [found] = await self.client.all("/alerts", state=state)
        return found


Stage = Callable[..., Any]


@pytest.fixture
def stage(alertmanager: Alertmanager, tmp_path: Path) -> Stage:
    """Starts both; `peers` are asked beside Alertmanager, `timers` are of the configuration."""

    @asynccontextmanager
    async def start(peers: str = "", timers: str = "quiet_period: 1s", **config: Any) -> AsyncIterator[Scene]:
        clock = ManualClock(datetime.now(UTC))
        text = f"alertmanager: {{urls: ['{alertmanager.url}'{peers}], interval: 1m, timeout: 5s}}\ntimers: {{{timers}}}\n"
        async with in_process(tmp_path, config=text, clock=clock) as (process, client):
            alertmanager.configure(alertmanager_yaml(f"{client.ingest}/webhooks/alertmanager", **config))
            await eventually(lambda: next_round(tmp_path / "data"), lambda due: due is not None and due > clock.now())
            alertmanager.start()
            yield Scene(process, client, alertmanager, clock)

    return start


async def next_round(storage: Path) -> datetime | None:
    """When Alertmanager will be asked, from the table of the work that is to do; the first round is at the start."""
    with closing(sqlite3.connect(storage / "orchestrator.db")) as database:
        found = database.execute("SELECT due_at FROM work WHERE queue = 'reconcile'").fetchone()
    return datetime.fromisoformat(found[0]) if found else None


MINUTE = timedelta(minutes=1)


async def test_a_silenced_alert_is_muted_until_the_silence_ends(stage: Stage) -> None:
    async with stage() as scene:
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        until = datetime(2099, 11, 24, 12, tzinfo=UTC)
        silence = scene.alertmanager.silence({"service": "web"}, "ann", "db upgrade", until)
        await scene.pass_time(MINUTE)
        await scene.become(muted=1, gating=1)
        words = f"silenced by ann until 2099-11-24 12:00 UTC: db upgrade (silence {silence[:8]}…)"
        muted = await scene.alert("muted")
        assert muted["muted_by"] == words
        assert [(event["text"], event["reason"]) for event in (await scene.events())[1:]] == [
            ("1 alert now muted (was firing): ErrorRateHigh", words)
        ]
        explained = await scene.client.get(f"/alerts/{muted['fingerprint']}/explain")
        assert explained["firings"][0]["muted_by"] == words
        assert [(turn["event"], turn["incident"], turn["reason"]) for turn in explained["firings"][0]["later"]] == [
            ("muted", "INC-1", words)
        ]
        scene.alertmanager.expire(silence)
        await scene.pass_time(MINUTE)
        await scene.become(firing=1, gating=1)
        assert (await scene.alert("firing"))["muted_by"] is None
        replies = [each["headline"] for each in await scene.client.deliveries() if each["kind"] == "reply"]
        assert replies == ["1 alert firing again", "1 alert muted"]


async def test_an_inhibited_alert_is_muted_by_the_one_that_inhibits_it(stage: Stage) -> None:
    async with stage(more=INHIBITION) as scene:
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        scene.alertmanager.fire({"alertname": "NodeDown", "severity": "s4", "service": "web", "env": "gprd"})
        await scene.become(firing=2, gating=1)
        await scene.come_to(firing=1, muted=1, gating=1)
        down = await scene.alert("firing")
        assert (await scene.alert("muted"))["muted_by"] == f"inhibited by NodeDown (fingerprint {down['fingerprint']})"


async def test_a_group_that_is_reported_resolved_while_a_member_is_muted_is_not_over(stage: Stage) -> None:
    async with stage() as scene:
        scene.alertmanager.fire(WEB)
        scene.alertmanager.fire(OTHER)
        await scene.become(firing=2, gating=2)
        silence = scene.alertmanager.silence({"instance": "web-1"}, "ann", "noise", datetime.now(UTC) + timedelta(hours=1))
        await scene.pass_time(MINUTE)
        await scene.become(firing=1, muted=1, gating=2)
        scene.alertmanager.resolve(OTHER)
        await scene.become(muted=1, resolved=1, gating=1)
        await scene.pass_time(MINUTE)
        assert (await scene.client.incident())["proposal"] is None
        scene.alertmanager.resolve(WEB)
        scene.alertmanager.expire(silence)
        await scene.pass_time(10 * MINUTE)
        await scene.become(resolved=2)
        scene.clock.advance(timedelta(seconds=2))
        await eventually(scene.client.incident, lambda incident: incident["proposal"])
        assert (await scene.words())[-1] == "mitigation_proposed"
        assert (await scene.words()).count("mitigation_proposed") == 1


async def test_what_a_killed_alertmanager_forgot_is_over_when_its_end_was_known(stage: Stage) -> None:
    async with stage() as scene:
        ends = datetime.now(UTC) + timedelta(minutes=4)
        scene.alertmanager.fire(WEB, ends_at=ends)
        await scene.become(firing=1, gating=1)
        await scene.pass_time(MINUTE)
        await scene.become(firing=1, gating=1)
        scene.alertmanager.kill9()
        scene.alertmanager.start()
        await scene.pass_time(2 * MINUTE)
        await scene.become(firing=1, gating=1)
        await scene.pass_time(10 * MINUTE)
        await eventually(scene.client.incident, lambda incident: incident["alerts"]["resolved"] == 1)
        over = await scene.alert("resolved")
        assert abs(datetime.fromisoformat(over["ends_at"]) - ends) < timedelta(seconds=1)
        resolved = [event for event in await scene.events() if event["word"] == "alerts_resolved"]
        assert [event["reason"] for event in resolved] == [
            "Alertmanager no longer lists them, and the end that it had announced has passed."
        ]


async def test_what_a_killed_alertmanager_forgot_is_stale_when_its_end_was_not_known(stage: Stage) -> None:
    async with stage() as scene:
        begun = datetime.now(UTC)
        scene.alertmanager.fire(WEB, starts_at=begun)
        await scene.become(firing=1, gating=1)
        scene.alertmanager.kill9()
        scene.alertmanager.start()
        await scene.pass_time(3 * MINUTE)
        await scene.become(stale=1, gating=1)
        await scene.pass_time(10 * MINUTE)
        await scene.pass_time(60 * MINUTE)
        assert await scene.words() == ["opened", "alerts_restated"], "told once"
        assert (await scene.client.incident())["proposal"] is None
        scene.alertmanager.fire(WEB, starts_at=begun)
        await scene.become(firing=1, gating=1)
        assert len(await scene.client.all("/alerts")) == 1


async def test_an_alert_that_max_alerts_cuts_off_is_never_over_for_that(stage: Stage) -> None:
    async with stage(max_alerts=1) as scene:
        scene.alertmanager.fire(OTHER)
        await scene.become(firing=1, gating=1)
        scene.alertmanager.fire(WEB)
        await scene.become(firing=2, gating=2)
        scene.alertmanager.resolve(WEB)
        await scene.become(firing=1, resolved=1, gating=1)
        for _ in range(3):
            await scene.pass_time(3 * MINUTE)
        await scene.become(firing=1, resolved=1, gating=1)
        assert (await scene.client.incident())["proposal"] is None


async def test_while_one_peer_is_away_absence_means_nothing(stage: Stage) -> None:
    async with stage(peers=f", 'http://127.0.0.1:{free_port()}'") as scene:
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        scene.alertmanager.kill9()
        scene.alertmanager.start()
        await scene.pass_time(60 * MINUTE)
        await scene.become(firing=1, gating=1)
        assert (await scene.metrics())['tocsin_alertmanager_reconcile_total{outcome="partial"}'] == 1
        scene.alertmanager.silence({"service": "web"}, "ann", "noise", datetime.now(UTC) + timedelta(hours=1))
        scene.alertmanager.fire(WEB)
        await scene.pass_time(MINUTE)
        await scene.become(muted=1, gating=1)


async def test_while_alertmanager_is_away_what_was_not_heard_of_for_too_long_is_stale(stage: Stage) -> None:
    async with stage(timers="stale_after: 1h") as scene:
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        await scene.pass_time(MINUTE)
        scene.alertmanager.kill9()
        with capture_logs() as logs:
            await scene.pass_time(59 * MINUTE)
            await scene.become(firing=1, gating=1)
            await scene.pass_time(3 * MINUTE)
            await scene.become(stale=1, gating=1)
            scene.alertmanager.start()
            scene.alertmanager.fire(WEB)
            await scene.pass_time(MINUTE)
            await scene.become(firing=1, gating=1)
        said = [line["event"] for line in logs if line["event"].startswith("alertmanager_")]
        assert said == ["alertmanager_fails", "alertmanager_answers"]
        ready = await scene.client.http.get(f"{scene.client.orchestrator}/-/ready")
        assert ready.status_code == 200


async def test_without_an_address_stale_after_holds_and_a_reload_begins_to_ask(stage: Stage, tmp_path: Path) -> None:
    async with stage(timers="stale_after: 1h") as scene:
        asking = (tmp_path / "tocsin.yaml").read_text()
        (tmp_path / "tocsin.yaml").write_text("timers: {stale_after: 1h}\n")
        scene.process.reload()
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        scene.clock.advance(61 * MINUTE)
        await scene.become(stale=1, gating=1)
        assert await scene.rounds() == 0
        (tmp_path / "tocsin.yaml").write_text(asking)
        scene.process.reload()
        await scene.pass_time(timedelta(seconds=6))
        await scene.become(firing=1, gating=1)


async def test_a_round_without_news_writes_and_tells_nothing(stage: Stage) -> None:
    async with stage() as scene:
        scene.alertmanager.fire(WEB)
        await scene.become(firing=1, gating=1)
        await scene.pass_time(MINUTE)
        before = await scene.client.get("/alerts")
        for _ in range(2):
            await scene.pass_time(MINUTE)
        assert await scene.client.get("/alerts") == before
        assert await scene.words() == ["opened"]
        assert (await scene.metrics())['tocsin_alerts_open{state="firing"}'] == 1
