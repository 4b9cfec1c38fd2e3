"""From starting the process to `/-/ready`, and how much memory it then has."""

import time
from pathlib import Path

from tests.benchmarks.report import Row, quantile
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.stack import stack
from tests.support.tocsin import Child

RUNS, READY_AIM, MEMORY_AIM = 5, 2.0, 200.0


async def measure(kafka: KafkaServer, postgres: PostgresServer, folder: Path) -> list[Row]:
    """Embedded with a new storage folder each time; then the memory of each of three processes."""
    seconds, memory = [], []
    for run in range(RUNS):
        child = Child("all", folder / f"start-{run}", {})
        started = time.monotonic()
        child.start()
        await child.ready()
        seconds.append(time.monotonic() - started)
        memory.append(resident(child))
        await child.terminate()
    ready, most = quantile(seconds, 0.5), max(memory)
    raw = ", ".join(f"{value:.2f}" for value in seconds)
    rows = [
        Row("start to ready, embedded", f"{ready:.2f} s", f"≤ {READY_AIM:.0f} s", ready <= READY_AIM, raw),
        Row("memory, embedded, idle", f"{most:.0f} MB", f"≤ {MEMORY_AIM:.0f} MB", most <= MEMORY_AIM),
    ]
    place = folder / "memory"
    place.mkdir()
    async with stack(place, kafka=kafka, postgres=postgres) as system:
        each = ", ".join(f"{name} {resident(child):.0f} MB" for name, child in system.processes.items())
    return [*rows, Row("memory, three processes, idle", each, "–", True)]


def resident(child: Child) -> float:
    """Resident memory in megabytes."""
    assert child.process
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
