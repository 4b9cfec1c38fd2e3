"""Schema migrations: one Alembic history per service, run at start, by one process at a time."""

from importlib import import_module
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from services.runtime.db import Database


async def migrate(database: Database, package: str) -> None:
    """Bring the database to the newest revision of `package` (like `services.notifier.store.migrations`)."""
    async with database.exclusive("migrate"), database.transaction() as connection:
        if not database.sqlite:
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{database.schema}"'))
        await connection.run_sync(_upgrade, package)


def _upgrade(connection: Connection, package: str) -> None:
    folder = Path(str(import_module(package).__file__)).parent
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_env(context: Any) -> None:
    """What every history's `env.py` does: run on the connection it was given, inside its transaction."""
    context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
    context.run_migrations()
