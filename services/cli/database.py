"""A service's database where it lies, looked into beside a Tocsin that may run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from services.process import Settings, open_database
from services.runtime.db import Database


@asynccontextmanager
async def opened(settings: Settings, service: str) -> AsyncIterator[Database]:
    """The database, given back at the end."""
    database = open_database(settings, service)
    try:
        yield database
    finally:
        await database.stop()


async def revision(database: Database) -> str | None:
    """Which tables it has; None when it has none of ours."""
    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        found: str | None = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        return found


def migrations(service: str) -> ScriptDirectory:
    """The revisions that this release knows."""
    package = import_module(f"services.{service}.store.migrations")
    return ScriptDirectory(str(Path(str(package.__file__)).parent))
