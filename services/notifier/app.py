"""Puts the notifier together."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from schemas import topics
from services.config import ConfigFile
from services.notifier.api import delivery_routes
from services.notifier.board.page import board_routes
from services.notifier.channels import CHANNELS, LIMITS, Directory, Means
from services.notifier.deliver import Deliver
from services.notifier.handlers import PlanBatch
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.board import BoardStore
from services.notifier.store.deliveries import QUEUE, SERVICE, DeliveryStore
from services.notifier.store.desk import DeliveryDesk
from services.notifier.store.retention import Retention
from services.notifier.store.tables import OFFSETS, OUTBOX, WORK
from services.runtime.auth import Grants
from services.runtime.bus.consume import Consumer
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.db import Database
from services.runtime.lifecycle import Part
from services.runtime.metrics import RuntimeMetrics
from services.runtime.migrate import migrate
from services.runtime.offsets import Offsets
from services.runtime.outbox import Outbox
from services.runtime.work import Work, Worker

WIDTH = 16
"""Deliveries made at a time."""
TEND = 5.0
"""Seconds between two looks at the channels when nothing is to be sent."""


def build(
    *,
    bus: Bus,
    clock: Clock,
    config: ConfigFile,
    grants: Grants,
    database: Database,
    metrics: RuntimeMetrics,
    registry: CollectorRegistry,
    base_url: str,
    slack_token: str | None,
) -> Part:
    """The notifier as a part of a process. `base_url` is where people reach its pages."""
    metrics.declare(SERVICE, (topics.INCIDENTS,), (QUEUE,))
    url = base_url.rstrip("/")
    counts = NotifierMetrics(registry, (spec.name for spec in CHANNELS))
    outbox, work = Outbox(SERVICE, OUTBOX, database, bus, metrics), Work(WORK)
    store, board = DeliveryStore(database, work, outbox), BoardStore(database, clock)
    directory = Directory(config, Means(board, url, slack_token), clock, counts)
    worker = Worker(
        service=SERVICE, queue=QUEUE, work=work, database=database, clock=clock, metrics=metrics, width=WIDTH,
        begin=Deliver(store, directory, LIMITS, clock, counts).begin,
    )  # fmt: skip
    consumer = Consumer(
        service=SERVICE, bus=bus, database=database, offsets=Offsets(OFFSETS), topics=(topics.INCIDENTS,), serial=False,
        handler=PlanBatch(store, directory.destinations, clock, counts, worker.wake), clock=clock, metrics=metrics,
    )  # fmt: skip
    life, retention = _Life(database, directory, consumer, clock), Retention(database, clock)
    desk, loops = DeliveryDesk(database, work), {"consumer": consumer.run, "outbox": outbox.run, "deliveries": worker.run}
    loops |= {"channels": life.tend, "retention": retention.run}
    return Part(
        name=SERVICE,
        start=life.start,
        stop=life.stop,
        loops=loops,
        routers=(
            delivery_routes(desk, grants, clock, worker),
            board_routes(board, grants, clock, url, lambda: config.config.shadow is not None),
        ),
        readiness=life.readiness,
    )


@dataclass(frozen=True)
class _Life:
    database: Database
    directory: Directory
    consumer: Consumer
    clock: Clock

    async def start(self) -> None:
        await migrate(self.database, "services.notifier.store.migrations")
        await self.database.start()

    async def stop(self) -> None:
        await self.directory.close()
        await self.database.stop()

    async def tend(self) -> None:
        while True:
            await self.directory.tend()
            await self.clock.sleep(TEND)

    def readiness(self) -> list[str]:
        missing = [f"notifier: {self.consumer.trouble}"] if self.consumer.trouble else []
        if self.consumer.resting:
            missing.append(f"notifier: {self.consumer.resting} partitions rest since too many messages were refused")
        return missing
