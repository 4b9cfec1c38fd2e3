"""One process: any of the three services, or all of them together. The only module that knows more than one service."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Gauge

from services.config import ConfigFile
from services.ingest.app import build as build_ingest
from services.notifier.app import build as build_notifier
from services.orchestrator.app import build as build_orchestrator
from services.runtime.auth import Grant, Grants, admin_token, token_hash
from services.runtime.bus.port import Bus
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import Clock
from services.runtime.collector import collect_rarely
from services.runtime.db import Database
from services.runtime.errors import ConfigError, Fault, StorageInUse
from services.runtime.lifecycle import Dispatch, Part, WebServer, bind, running, signals, url_of
from services.runtime.metrics import RuntimeMetrics, new_registry
from services.runtime.web import Bounded, Guarded, Operations, new_web

log = structlog.get_logger(__name__)

SERVICES = ("ingest", "orchestrator", "notifier")


@dataclass(frozen=True)
class Settings:
    """What a process is told by flags and environment. Without `kafka` and `database` it runs embedded, in `storage`."""

    targets: tuple[str, ...] = SERVICES
    host: str = "127.0.0.1"
    port: int = 8080
    storage: Path = Path("data")
    config_file: Path | None = None
    external_url: str | None = None
    kafka: str | None = None
    database: str | None = None
    admin_token: str | None = field(default=None, repr=False)
    slack_token: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raises `ConfigError` for a combination that cannot run."""
        if bool(self.kafka) != bool(self.database) and self.targets != ("ingest",):
            raise ConfigError([_fault("TOCSIN_KAFKA and TOCSIN_DATABASE go together: give both, or none to run embedded")])
        if not self.kafka and set(self.targets) != set(SERVICES):
            raise ConfigError([_fault(f"serving {', '.join(self.targets)} alone needs TOCSIN_KAFKA; embedded runs all three")])


def _fault(message: str) -> Fault:
    return Fault("settings", 0, 0, message)


@dataclass
class Process:
    """A process, wired. `url` is where it will listen; `token_path` is where the administrator's token is kept."""

    settings: Settings
    parts: list[Part]
    metrics: RuntimeMetrics
    reload: "_Reload"
    web: WebServer
    door: Dispatch
    url: str
    token_path: Path | None
    admin_token: str = field(repr=False)

    def close(self) -> None:
        """Give the address back, of a process that does not run (any more)."""
        self.web.close()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Listen, start everything, and at the end give everything back: first no new requests, then no more work."""
        await self.web.start()
        try:
            async with running(self.parts, self.metrics):
                self.door.open = True
                yield
                await self.web.stop()
        finally:
            await self.web.stop()
            self.close()


class _Reload:
    """Swaps the configuration, and shows by metrics whether that worked."""

    def __init__(self, config: ConfigFile, registry: CollectorRegistry, clock: Clock) -> None:
        self._config, self._clock = config, clock
        name = "tocsin_config_last_reload"
        self._good = Gauge(f"{name}_successful", "Whether the last reload worked.", registry=registry)
        self._when = Gauge(f"{name}_success_timestamp_seconds", "When the configuration was last loaded.", registry=registry)
        self._hash = Gauge("tocsin_config_hash", "The first 48 bits of the SHA-256 of the configuration.", registry=registry)
        self._note(True)

    def __call__(self) -> None:
        """Raises `ConfigError` and leaves everything as it is when the file is broken."""
        try:
            self._config.reload()
        except ConfigError as error:
            self._good.set(0)
            log.error("config_reload_failed", faults=[str(fault) for fault in error.faults])
            raise
        self._note(True)
        log.info("config_reloaded", hash=self._config.hash)

    def _note(self, good: bool) -> None:
        self._good.set(good)
        self._when.set(self._clock.now().timestamp())
        self._hash.set(int(self._config.hash.removeprefix("sha256:")[:12], 16))
        for caution in self._config.warnings:
            log.warning("config_doubtful", caution=str(caution))


@contextmanager
def storage_lock(folder: Path) -> Iterator[None]:
    """Own the storage folder; raises `StorageInUse` when another process does. The lock dies with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise StorageInUse(
                f"{folder} is in use by another Tocsin (process {owner}); stop it or give --storage.path"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _grants(config: ConfigFile, admin: str) -> Callable[[], Sequence[Grant]]:
    """The administrator's token and those of the configuration in force."""
    root = Grant(token_hash(admin), "admin", frozenset({"admin"}))
    cache: dict[str, Sequence[Grant]] = {}

    def grants() -> Sequence[Grant]:
        known = cache.get(config.hash)
        if known is None:
            cache.clear()
            tokens = config.config.access.tokens
            listed = [Grant(token.sha256, token.person or token.name, frozenset(token.scopes)) for token in tokens]
            known = cache[config.hash] = (root, *listed)
        return known

    return grants


def open_bus(settings: Settings, clock: Clock) -> Bus:
    """Kafka when an address is given, else the embedded log in the storage folder."""
    if not settings.kafka:
        return SqliteBus(settings.storage / "bus.db", clock)
    from services.runtime.bus.kafka import KafkaBus  # noqa: PLC0415  embedded never needs the Kafka client

    return KafkaBus(settings.kafka, clock)


def open_database(settings: Settings, service: str) -> Database:
    """The service's own database: a schema on PostgreSQL, or a file in the storage folder."""
    url = settings.database or f"sqlite:///{quote(str((settings.storage / f'{service}.db').absolute()))}"
    return Database(url, service)


def assemble(settings: Settings, clock: Clock) -> Process:
    """Everything wired and the address taken, nothing started; raises `ConfigError` and `AddressTaken`."""
    settings.check()
    config = ConfigFile.open(settings.config_file)
    token, token_path = admin_token(settings.storage, settings.admin_token)
    registry, grants = new_registry(), _grants(config, token)
    metrics, bus = RuntimeMetrics(registry), open_bus(settings, clock)
    build_info = Gauge("tocsin_build_info", "The release that runs.", ["version"], registry=registry)
    build_info.labels(version("tocsin")).set(1)
    reload = _Reload(config, registry, clock)
    parts = [Part("bus", start=bus.start, stop=bus.stop)]
    common: dict[str, Any] = {"bus": bus, "clock": clock, "grants": grants, "registry": registry}
    listener = bind(settings.host, settings.port)
    base_url = settings.external_url or url_of(listener)
    if "orchestrator" in settings.targets:
        database = open_database(settings, "orchestrator")
        parts.append(build_orchestrator(config=config, database=database, metrics=metrics, **common))
    if "notifier" in settings.targets:
        database, slack = open_database(settings, "notifier"), settings.slack_token
        parts.append(
            build_notifier(config=config, database=database, metrics=metrics, base_url=base_url, slack_token=slack, **common)
        )
    if "ingest" in settings.targets:
        parts.append(build_ingest(**common))
    door = _door(settings, parts, registry, grants, reload)
    return Process(settings, parts, metrics, reload, WebServer(door, listener), door, url_of(listener), token_path, token)


def _door(settings: Settings, parts: Sequence[Part], registry: CollectorRegistry, grants: Grants, reload: _Reload) -> Dispatch:
    door: Dispatch

    def readiness() -> list[str]:
        if not door.open:
            return ["Tocsin is starting"]
        return [line for part in parts for line in part.readiness()]

    async def reload_all() -> None:
        reload()

    operations = Operations(registry, readiness, reload_all, grants, [router for part in parts for router in part.routers])
    web = new_web(f"Tocsin {', '.join(settings.targets)}", operations)
    door = Dispatch({prefix: hot for part in parts for prefix, hot in part.hot.items()}, Guarded(Bounded(web), grants))
    return door


async def serve(settings: Settings, announce: Callable[[Process], None]) -> None:
    """Run until SIGTERM or SIGINT. SIGHUP reloads. Raises `ConfigError`, `StorageInUse`, `AddressTaken` when it cannot start."""
    stopped = asyncio.Event()
    with ExitStack() as stack:
        if not settings.kafka:
            stack.enter_context(storage_lock(settings.storage))
        process = assemble(settings, Clock())

        def reload() -> None:
            with suppress(ConfigError):  # said by the log and the metric
                process.reload()

        stack.enter_context(signals(stopped.set, reload))
        life = process.run()
        if await _started(life.__aenter__(), stopped):
            try:
                collect_rarely()
                announce(process)
                await stopped.wait()
            finally:
                await life.__aexit__(None, None, None)


async def _started(start: Coroutine[Any, Any, None], stopped: asyncio.Event) -> bool:
    """Whether the start came to its end; a signal while something we stand on is away ends the waiting."""
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stopped.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False
