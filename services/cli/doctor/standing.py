"""What Tocsin stands on: the bus, the databases, the time."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from schemas.topics import Topic
from services.cli.client import is_local
from services.cli.database import migrations, opened, revision
from services.cli.doctor.finding import Finding, fail, ok, warn
from services.process import Settings, open_bus
from services.runtime.bus.sqlite import open_readonly
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable, DatabaseUnavailable

SKEW_WARN, SKEW_FAIL = 2.0, 30.0
"""Seconds between two clocks. The server's header has whole seconds only."""
PATIENCE = 5.0


async def bus(settings: Settings) -> list[Finding]:
    """Whether it answers, and how its topics are."""
    if not settings.kafka:
        return [_log(settings.storage / "bus.db")]
    try:
        topics = await open_bus(settings, Clock()).describe()
    except BusUnavailable as error:
        return [fail("bus", f"{settings.kafka}: {error.detail}", "Is TOCSIN_KAFKA right, and does the broker run?")]
    return [ok("bus", f"Kafka at {settings.kafka} answers"), topics_finding(topics)]


def _log(path: Path) -> Finding:
    if not path.exists():
        return warn("bus", f"{path} does not exist", "It is made at the first start.")
    try:
        with closing(open_readonly(path)):
            return ok("bus", f"{path} can be read")
    except sqlite3.Error as error:
        return fail("bus", f"{path}: {error}", "Restore the storage folder, or move it away and begin anew.")


def topics_finding(topics: list[tuple[Topic, int, int]]) -> Finding:
    """Each topic as it exists, with its partitions and copies."""
    missing = [topic.name for topic, partitions, _ in topics if not partitions]
    odd = [f"{topic.name} has {there} partitions, not {topic.partitions}" for topic, there, _ in topics
           if there not in (0, topic.partitions)]  # fmt: skip
    copies = min((copies for _, partitions, copies in topics if partitions), default=0)
    if missing:
        return warn("topics", f"missing: {', '.join(missing)}", "They are made when Tocsin starts.")
    if odd:
        return warn("topics", "; ".join(odd), "They are used as they are; more partitions later mix up the order of a key.")
    if copies < 2:
        hint = "Good for a trial; three brokers keep three copies, with min.insync.replicas 2."
        return warn("topics", "messages have one copy only", hint)
    return ok("topics", f"{len(topics)} topics with {copies} copies")


async def databases(settings: Settings) -> list[Finding]:
    """Each service's database: does it answer, and has it the tables of this release?"""
    return [await _database(settings, service) for service in ("orchestrator", "notifier")]


async def _database(settings: Settings, service: str) -> Finding:
    check, path = f"{service} db", settings.storage / f"{service}.db"
    if not settings.database and not path.exists():
        return warn(check, f"{path} does not exist", "It is made at the first start.")
    try:
        async with opened(settings, service) as database:
            found = await revision(database)
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        reason = getattr(error, "detail", None) or str(error).splitlines()[0]
        return fail(check, reason, "Is TOCSIN_DATABASE right?" if settings.database else f"Is {path} a whole file?")
    return _migrated(check, found, migrations(service))


def _migrated(check: str, revision: str | None, history: ScriptDirectory) -> Finding:
    head = history.get_current_head()
    if revision == head:
        return ok(check, f"answers, tables of revision {revision}")
    if revision is None or revision in {script.revision for script in history.walk_revisions()}:
        found = f"answers, tables of revision {revision or 'none'}, not {head}"
        return warn(check, found, "They are migrated at the next start.")
    hint = "A newer Tocsin has migrated it; run that release."
    return fail(check, f"tables of revision {revision}, which this release does not know", hint)


async def clock(settings: Settings, url: str) -> Finding:
    """This machine's clock against the database's, else against the running Tocsin's."""
    other = await _database_time(settings) or await _server_time(url)
    if other is None:
        return warn("clock", "there is no other clock to compare with", "Look again when Tocsin runs.")
    whose, moment = other
    skew = abs((Clock().now() - moment).total_seconds())
    said = f"{skew:.1f} s away from the {whose}'s"
    if skew > SKEW_FAIL:
        return fail("clock", said, "Set the clock (NTP): quiet periods and timelines depend on it.")
    return warn("clock", said, "Let NTP keep the clock.") if skew > SKEW_WARN else ok("clock", said)


async def _database_time(settings: Settings) -> tuple[str, datetime] | None:
    if not settings.database:
        return None
    try:
        async with opened(settings, "orchestrator") as database, database.read() as connection:
            moment: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    except (DatabaseUnavailable, SQLAlchemyError):
        return None
    return "database", moment


async def _server_time(url: str) -> tuple[str, datetime] | None:
    try:
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=not is_local(url)) as http:
            answer = await http.get(f"{url.rstrip('/')}/-/healthy")
        return "server", parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (httpx2.HTTPError, httpx2.InvalidURL, KeyError, ValueError):
        return None
