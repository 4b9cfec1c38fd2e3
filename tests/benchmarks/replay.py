"""A replay: a million recorded firings on SQLite, under the policy that decided them, from the command to its report.

The log is a day of a site with 150 services (tests/support/history.py), thirty times; about one firing in seven belonged to an
incident. The command is a process of its own.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from services.orchestrator.domain.policy.policy import Policy
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.benchmarks.report import Row
from tests.builders import POLICY
from tests.support.history import FIRST_DAY, write_history
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

EACH_DAY, DAYS, AIM = 33_334, 30, 60.0


async def measure(kafka: KafkaServer, postgres: PostgresServer, folder: Path) -> list[Row]:
    """Write the log, replay it."""
    del kafka, postgres
    incidents = await _write(folder, POLICY)
    (folder / "same.yaml").write_text("")
    since = f"{FIRST_DAY:%Y-%m-%d}"
    asked = ("policy", "replay", "--policy", str(folder / "same.yaml"), "--since", since, "--storage.path", str(folder))
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.cli", *asked, "-o", "json", stdout=-1)
    told = json.loads((await process.communicate())[0])
    seconds = time.monotonic() - began
    raw = f"{told['decisions'] / seconds:,.0f} firings/s; {incidents:,} incidents; {told['same']:,} decisions the same"
    (folder / "orchestrator.db").unlink()
    return [Row(f"replay of {told['decisions']:,} firings", f"{seconds:.0f} s", f"≤ {AIM:.0f} s", seconds <= AIM, raw)]


async def _write(folder: Path, policy: Policy) -> int:
    database = Database(f"sqlite:///{folder}/orchestrator.db", "orchestrator")
    await migrate(database, "services.orchestrator.store.migrations")
    incidents = await write_history(database, policy, EACH_DAY, DAYS)
    await database.stop()
    return incidents
