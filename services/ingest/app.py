"""Makes the ingest part out of its pieces."""

from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry

from services.ingest.accept import Accept
from services.ingest.api.body import Bodies
from services.ingest.api.door import Door
from services.ingest.api.webhook import Webhook
from services.ingest.metrics import IngestMetrics
from services.ingest.sources import SOURCES
from services.runtime.auth import Grants
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.lifecycle import Part


def build(*, bus: Bus, clock: Clock, grants: Grants, registry: CollectorRegistry) -> Part:
    """Ingest, ready to be started."""
    metrics = IngestMetrics(registry, [source.name for source in SOURCES])
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ingest")
    accept, door, bodies = Accept(bus, clock, pool), Door(grants), Bodies(clock)

    def readiness() -> list[str]:
        away = bus.available()
        return [away] if away else []

    async def stop() -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    hot = {source.path: Webhook(source, accept, bus, clock, door, bodies, metrics.of(source.name)) for source in SOURCES}
    return Part("ingest", stop=stop, loops={"slow_bodies": bodies.watch}, hot=hot, readiness=readiness)
