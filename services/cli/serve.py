"""`tocsin serve`: run Tocsin, all of it or one service."""

# ruff: noqa: PLC0415  imported when it is used

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import DATA, ConfigPath, DatabaseUrl, Kafka, Storage, secret
from services.cli.show import fail

if TYPE_CHECKING:
    from services.process import Process, Settings


HIGHEST_PORT = 65535


class Target(StrEnum):
    """What one process runs."""

    ALL = "all"
    INGEST = "ingest"
    ORCHESTRATOR = "orchestrator"
    NOTIFIER = "notifier"


class Level(StrEnum):
    """From which level on things are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How logs look; `auto` is for people on a terminal and logfmt elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"
    LOGFMT = "logfmt"


Listen = Annotated[
    str, typer.Option("--web.listen-address", envvar="TOCSIN_WEB_LISTEN_ADDRESS", help="Where to listen, host:port.")
]
External = Annotated[
    str | None,
    typer.Option("--web.external-url", envvar="TOCSIN_WEB_EXTERNAL_URL", help="Where people reach it, for links in messages."),
]


def serve(
    target: Annotated[Target, typer.Argument(help="What to run; embedded, always all.")] = Target.ALL,
    config: ConfigPath = None,
    listen: Listen = "127.0.0.1:8080",
    external_url: External = None,
    storage: Storage = DATA,
    log_level: Annotated[Level, typer.Option("--log.level", envvar="TOCSIN_LOG_LEVEL")] = Level.INFO,
    log_format: Annotated[LogFormat, typer.Option("--log.format", envvar="TOCSIN_LOG_FORMAT")] = LogFormat.AUTO,
    kafka: Kafka = None,
    database: DatabaseUrl = None,
) -> None:
    """Run until SIGTERM or Ctrl-C; SIGHUP reloads the configuration.

    Without flags it runs embedded: all three services, state in one folder, nothing to install. Secrets come by environment
    only: TOCSIN_ADMIN_TOKEN (else one is made and kept in the storage folder) and TOCSIN_SLACK_TOKEN.
    """
    host, port = address(listen)
    from services.process import SERVICES, Settings

    settings = Settings(
        targets=SERVICES if target is Target.ALL else (target.value,),
        host=host,
        port=port,
        storage=storage,
        config_file=config,
        external_url=external_url or None,
        kafka=kafka or None,
        database=database or None,
        admin_token=secret("TOCSIN_ADMIN_TOKEN"),
        slack_token=secret("TOCSIN_SLACK_TOKEN"),
    )
    run(settings, log_level, log_format)


def address(listen: str) -> tuple[str, int]:
    """`host:port`, `[::1]:8080`, or `:8080` for every interface."""
    host, colon, port = listen.rpartition(":")
    bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not colon or bare or not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise typer.BadParameter(f"{listen!r}: expected host:port, like 127.0.0.1:8080", param_hint="--web.listen-address")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  asked for, as in Prometheus


def run(settings: "Settings", level: Level, form: LogFormat) -> None:
    """Serve until told to stop; whatever keeps it from starting is said in words."""
    import asyncio

    import uvloop

    from services.process import serve as serve_process
    from services.runtime.errors import AddressTaken, ConfigError, TocsinError
    from services.runtime.logs import set_up

    set_up(level.value, form.value)
    try:
        _check(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_process(settings, announcer(form)))
    except ConfigError as error:
        fail("the configuration cannot be used", *map(str, error.faults))
    except AddressTaken as error:
        fail(error.detail, "Give another address by --web.listen-address.")
    except TocsinError as error:
        fail(error.detail)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"cannot start: {where}{error.strerror or error}")


def _check(settings: "Settings") -> None:
    """What would otherwise fail deep inside, without words."""
    if settings.database and not settings.database.startswith(("postgresql://", "postgresql+asyncpg://")):
        fail("--database: expected an address like postgresql://user@host/tocsin")


def announcer(form: LogFormat) -> Callable[["Process"], None]:
    """Says on standard output that Tocsin is ready: for people on a terminal, in one line elsewhere."""

    def announce(process: "Process") -> None:
        facts = _facts(process)
        if form is LogFormat.JSON:
            print(json.dumps({"event": "ready"} | facts), flush=True)
        elif sys.stdout.isatty():
            _greet(facts)
        else:
            print("event=ready", *(f"{name}={_logfmt(value)}" for name, value in facts.items()), flush=True)

    return announce


def _facts(process: "Process") -> dict[str, str]:
    settings = process.settings
    url = (settings.external_url or process.url).rstrip("/")
    facts = {"url": url, "targets": ",".join(settings.targets)}
    if "notifier" in settings.targets:
        facts["board"] = f"{url}/"
    facts["admin_token"] = str(_absolute(process.token_path)) if process.token_path else "TOCSIN_ADMIN_TOKEN"
    facts["state"] = "Kafka and database" if settings.kafka else str(_absolute(settings.storage))
    return facts


def _absolute(path: Path) -> Path:
    return path.absolute()


def _logfmt(value: str) -> str:
    return json.dumps(value) if " " in value or '"' in value or "=" in value else value


def _greet(facts: dict[str, str]) -> None:
    from rich.console import Console
    from rich.text import Text

    words = {"url": "Listening on", "board": "Message board", "admin_token": "Admin's token", "state": "State"}
    lines = [("bold green", "Tocsin is ready."), ("", "")]
    lines += [("", f"  {words[name]:<16}{facts[name]}") for name in words if name in facts]
    lines += [
        ("", f"  {'Log in':<16}with any user and the token as password"),
        ("", ""),
        ("dim", "  tocsin alertmanager-snippet   what to put into Alertmanager's configuration"),
        ("dim", "  tocsin fire --severity s1     try it: an alert that opens an incident"),
        ("dim", "  Ctrl-C stops."),
    ]
    console = Console(highlight=False)
    for style, line in lines:
        console.print(Text(line, style=style), soft_wrap=True)
