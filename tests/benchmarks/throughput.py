"""Durable webhooks per second on Kafka, against the no-op application under the same server, flags, payload and core.

wrk posts webhooks of one alert over 64 connections for some seconds; the server has one core for itself, wrk and the
broker share the other.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.report import Row
from tests.builders import NOW, an_alert, webhook
from tests.support.kafka import KafkaServer
from tests.support.processes import free_port, listens
from tests.support.stack import forget_topics
from tests.support.tocsin import TOKEN, Child

SECONDS, BODIES, AIM = 8, 500, 0.18


def unavailable() -> str | None:
    """Why this cannot be measured here, in words."""
    return None if shutil.which("wrk") and shutil.which("taskset") else "needs wrk and taskset (Debian: wrk, util-linux)"


async def measure(kafka: KafkaServer, folder: Path) -> list[Row]:
    """The rate of each and their ratio; alternating twice, the better of each counts."""
    await forget_topics(kafka)
    port = free_port()
    noop = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-m", "tests.benchmarks.noop", str(port)])
    ingest = Child("ingest", folder, {"TOCSIN_KAFKA": kafka.address})
    ingest.start()
    await ingest.ready()
    assert ingest.process
    subprocess.run(["taskset", "-a", "-p", "-c", "0", str(ingest.process.pid)], check=True, capture_output=True)
    try:
        while not listens(port):
            pass
        limits, durable = [], []
        for _ in range(2):
            limits.append(_wrk(f"http://127.0.0.1:{port}/"))
            durable.append(_wrk(f"{ingest.url}/webhooks/alertmanager"))
    finally:
        noop.kill()
        noop.wait()
        ingest.kill()
    ratio = max(durable) / max(limits)
    raw = f"{_all(durable)} durable/s, {_all(limits)} no-op/s"
    return [Row("durable webhooks on Kafka ÷ no-op application", f"{ratio:.3f}", f"≥ {AIM}", ratio >= AIM, raw)]


def _all(rates: Sequence[float]) -> str:
    return " and ".join(f"{rate:,.0f}" for rate in rates)


def _wrk(url: str) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua())
        script.flush()
        command = ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", script.name, url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in output, output
    match = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert match, output
    return float(match[1])


def _lua() -> str:
    bodies = [json.dumps(webhook(an_alert(instance=f"host-{number}", starts_at=NOW))) for number in range(BODIES)]
    listed = ",\n".join(f"[==[{body}]==]" for body in bodies)
    return f"""
local bodies = {{ {listed} }}
local at = 0
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {TOKEN}"
wrk.headers["Content-Type"] = "application/json"
request = function()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
"""
