"""`python -m tests.benchmarks [PART …]` measures all or some parts, and writes docs/benchmarks.md when all are measured."""

import asyncio
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import decisions, latency, replay, report, start, storms, throughput
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

PARTS = ("throughput", "storms", "latency", "start", "decisions", "replay")
REPORT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


async def measure(names: list[str]) -> list[report.Row]:
    """The rows of the named parts; each is printed as soon as it is known."""
    rows: list[report.Row] = []
    kafka, postgres = KafkaServer(), PostgresServer()
    kafka.start()
    postgres.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                print(f"measuring {name} …", flush=True)
                new = await _part(name, kafka, postgres, Path(folder))
                for row in new:
                    print(f"  {row.what}: {row.figure} (aim {row.aim}) {row.raw}", flush=True)
                rows += new
    finally:
        kafka.stop()
        postgres.stop()
    return rows


async def _part(name: str, kafka: KafkaServer, postgres: PostgresServer, folder: Path) -> list[report.Row]:
    if name == "throughput":
        missing = throughput.unavailable()
        if missing is not None:
            return [
                report.Row("durable webhooks on Kafka ÷ no-op application", "not measured", f"≥ {throughput.AIM}", False, missing)
            ]
        return await throughput.measure(kafka, folder / "ingest")
    parts = {"storms": storms, "latency": latency, "start": start, "decisions": decisions, "replay": replay}
    return await parts[name].measure(kafka, postgres, folder)  # type: ignore[no-any-return]  # modules of one shape


def main() -> None:
    names = sys.argv[1:] or list(PARTS)
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    rows = asyncio.run(measure(names))
    if set(names) == set(PARTS):
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        REPORT.write_text(report.render(rows, machine))
        print(f"wrote {REPORT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
