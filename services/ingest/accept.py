"""The one use case: what a source has read becomes messages, and is accepted once the bus has made them durable."""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from schemas.alerts import MAX_MESSAGE, AlertReceived
from schemas.catalogue import encode
from schemas.ids import digest
from schemas.topics import ALERTS
from services.ingest.domain.bounds import Fault, Unfit
from services.runtime.bus.port import Bus, Message
from services.runtime.clock import Clock
from services.runtime.deadletters import Place, dead_letter

ON_LOOP = 256 * 1024
"""Bytes of a body up to which it is read at once; a larger one would hold up all others and is read in a thread."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An alert that is not let in: where it stands in the body, why, and its JSON."""

    fault: Fault
    raw: bytes


@dataclass(slots=True)
class Intake:
    """What one body held."""

    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


class Refused(Exception):
    """The body as a whole cannot be used, or none of its alerts; nothing of it is kept, the sender is told."""

    def __init__(self, detail: str, faults: list[Fault], alerts: int = 0) -> None:
        super().__init__(detail)
        self.detail, self.faults, self.alerts = detail, faults, alerts


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of sender. `parse` takes the body and the time of its arrival, and raises nothing but `Refused`."""

    name: str
    path: str
    scope: str
    parse: Callable[[bytes, datetime], Intake]


@dataclass(slots=True)
class Receipt:
    """What is durable now: so many alerts, and dead letters for the others."""

    accepted: int
    rejected: list[Fault]


class Accept:
    """`pool` reads large bodies; its number of threads bounds how many are in memory as objects at a time."""

    def __init__(self, bus: Bus, clock: Clock, pool: Executor) -> None:
        self._bus, self._clock, self._pool = bus, clock, pool

    async def __call__(self, source: Source, body: bytes) -> Receipt:
        """Returns when everything is durable; raises `Refused` or `BusUnavailable`, and then nothing was accepted."""
        now = self._clock.now()
        if len(body) <= ON_LOOP:
            receipt, messages = _prepare(source, body, now)
        else:
            loop = asyncio.get_running_loop()
            receipt, messages = await loop.run_in_executor(self._pool, _prepare, source, body, now)
        if messages:
            await self._bus.publish(messages)
        return receipt


def alert_message(alert: AlertReceived, source: str) -> Message:
    """Raises `Unfit` when the alert is too large as a whole."""
    fingerprint = alert.fingerprint
    value = encode(AlertReceived.TYPE, alert, id=alert.message_id, source=source, subject=fingerprint)
    if len(value) > MAX_MESSAGE:
        raise Unfit("", f"the alert makes a message of {len(value):,} bytes", f"at most {MAX_MESSAGE:,} bytes")
    return Message(ALERTS, fingerprint, value)


def _prepare(source: Source, body: bytes, now: datetime) -> tuple[Receipt, list[Message]]:
    intake = source.parse(body, now)
    faults = [rejected.fault for rejected in intake.rejected]
    if faults and not intake.messages:
        raise Refused("None of the alerts can be accepted.", faults, len(faults))
    receipt = Receipt(len(intake.messages), faults)
    return receipt, intake.messages + [_dead_letter(source, rejected, now) for rejected in intake.rejected]


def _dead_letter(source: Source, rejected: Rejected, now: datetime) -> Message:
    origin = source.path.lstrip("/")
    return dead_letter(
        Place(origin),
        rejected.raw,
        id=digest("rejected", origin, base64.b64encode(rejected.raw).decode()),
        reason="rejected",
        detail=_detail(rejected.fault),
        refused_by="ingest",
        source=f"ingest/{source.name}",
        subject=origin,
        at=now,
    )


def _detail(fault: Fault) -> str:
    text = f"{fault.pointer[:1000]}: {fault.message[:1000]}"
    return f"{text}; expected {fault.expected}" if fault.expected else text
