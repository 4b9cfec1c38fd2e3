"""`tocsin policy replay`: what a policy would have made of what was recorded."""

# ruff: noqa: PLC0415  imported when it is used

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import DATA, DatabaseUrl, Form, Output, Storage
from services.cli.show import answer, fail, plain

if TYPE_CHECKING:
    from services.orchestrator.domain.policy.policy import Policy
    from services.orchestrator.handlers.replay import Replayed
    from services.process import Settings
    from services.runtime.db import Database

BROKEN = 2
"""Exit status: the policy cannot be read."""
_EXPECTED = "expected a time like 30d or a moment like 2026-11-01T00:00:00Z"


def replay(
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="The policy to try.")],
    since: Annotated[str, typer.Option(help="From when on: a time like 30d, or a moment like 2026-11-01T00:00:00Z.")] = "30d",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many incidents.")] = 50,
    storage: Storage = DATA,
    database: DatabaseUrl = None,
    output: Output = Form.TABLE,
) -> None:
    """Play what was recorded through a policy, and tell what would have been different, and why.

    Alerts, what people did and what fell due are played in their order. Nothing is written, and Tocsin may run meanwhile.
    """
    import asyncio

    from services.cli.policy.replayed import as_data, tell
    from services.process import Settings
    from services.runtime.clock import Clock
    from services.runtime.collector import collect_rarely

    now = Clock().now()
    candidate, begin = _policy(policy), moment_of(since, now)
    settings = Settings(storage=storage, database=database or None)
    collect_rarely()
    found = asyncio.run(_replayed(settings, candidate, begin, now))
    if found is None:
        fail(f"nothing has been decided since {begin:%Y-%m-%d %H:%M:%S} UTC", "An earlier --since may find something.")
    told = as_data(found, candidate.version, limit)
    answer(output, told, lambda: tell(str(policy), told))


def moment_of(text: str, now: datetime) -> datetime:
    """`30d` before now, or the moment itself, taken as UTC unless it says otherwise."""
    from services.runtime.durations import parse_duration

    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither; {_EXPECTED}", param_hint="'--since'") from None


def _policy(path: Path) -> "Policy":
    from services.config import ConfigFile
    from services.orchestrator.policyfile import policy_of
    from services.runtime.errors import ConfigError

    try:
        config = ConfigFile.open(path)
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(plain(fault), err=True)
        raise typer.Exit(BROKEN) from None
    return policy_of(config.config, config.hash)


async def _replayed(settings: "Settings", policy: "Policy", since: datetime, now: datetime) -> "Replayed | None":
    from sqlalchemy.exc import SQLAlchemyError

    from services.cli.database import opened
    from services.cli.policy.progress import Progress
    from services.orchestrator.handlers.replay import replay as play
    from services.runtime.errors import DatabaseUnavailable

    file = settings.storage / "orchestrator.db"
    if not settings.database and not file.exists():
        fail(f"{file} does not exist", "Is --storage.path right, and has Tocsin ever run with it?")
    try:
        async with opened(settings, "orchestrator") as database:
            await _check_tables(database)
            async with database.snapshot() as connection:
                with Progress() as progress:
                    return await play(connection, policy, since, now, progress.show)
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        reason = getattr(error, "detail", None) or str(error).splitlines()[0]
        fail(str(reason), "Is TOCSIN_DATABASE right?" if settings.database else f"Is {file} a whole file?")


async def _check_tables(database: "Database") -> None:
    from services.cli.database import migrations, revision

    found, head = await revision(database), migrations("orchestrator").get_current_head()
    if found != head:
        hint = "Start this release of Tocsin on it once, or run the release that it belongs to."
        fail(f"the tables are of revision {found or 'none'}, and this release reads {head}", hint)
