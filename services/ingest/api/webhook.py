"""One webhook as an ASGI application: check who sends, read the body, accept it, answer."""

import json
from dataclasses import asdict
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from services.ingest.accept import Accept, Receipt, Refused, Source
from services.ingest.api.body import Bodies, Disconnected
from services.ingest.api.door import Door
from services.ingest.domain.bounds import Fault
from services.ingest.metrics import SourceMetrics
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable
from services.runtime.web import Problem, unavailable


class Answer(NamedTuple):
    """A complete answer, ready to be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Webhook:
    """The ASGI application of one source."""

    def __init__(
        self, source: Source, accept: Accept, bus: Bus, clock: Clock, door: Door, bodies: Bodies, metrics: SourceMetrics
    ) -> None:
        self._source, self._accept, self._bus, self._clock = source, accept, bus, clock
        self._door, self._bodies, self._metrics = door, bodies, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outcome = "failed"
        self._metrics.in_flight += 1
        try:
            outcome, answer = await self._handle(scope, receive)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
        except Disconnected:
            outcome = "disconnected"
        finally:
            self._metrics.in_flight -= 1
            self._metrics.webhooks[outcome] += 1

    async def _handle(self, scope: Scope, receive: Receive) -> tuple[str, Answer]:
        began = self._clock.monotonic()
        try:
            self._admit(scope)
            with self._bodies.share() as share:
                body = await self._bodies.read(scope["headers"], receive, began, share)
                self._metrics.bytes += len(body)
                receipt = await self._accept(self._source, body)
        except Problem as problem:
            return problem.code, _problem(problem)
        except BusUnavailable as error:
            return "unavailable", _problem(unavailable(error.detail))
        except Refused as refused:
            self._metrics.alerts["rejected"] += refused.alerts
            return "invalid", _problem(Problem(400, "invalid", refused.detail, errors=_shown(refused.faults)))
        self._metrics.durable(self._clock.monotonic() - began)
        return "accepted", self._accepted(receipt)

    def _admit(self, scope: Scope) -> None:
        """Raises `Problem` for whatever can be told from the head alone, so that no stranger makes us hold a body."""
        if scope["path"] != self._source.path:
            raise Problem(404, "not_found", "There is nothing here.")
        if scope["method"] != "POST":
            raise Problem(405, "method_not_allowed", "Only POST.", headers={"Allow": "POST"})
        self._door.admit(scope["headers"], self._source.scope)
        if away := self._bus.available():
            raise unavailable(away)

    def _accepted(self, receipt: Receipt) -> Answer:
        self._metrics.alerts["accepted"] += receipt.accepted
        if not receipt.rejected:
            return _all_accepted(receipt.accepted)
        self._metrics.alerts["rejected"] += len(receipt.rejected)
        shown = {"accepted": receipt.accepted, "rejected": _shown(receipt.rejected)}
        return _json(json.dumps(shown, separators=(",", ":")).encode())


def _shown(faults: list[Fault]) -> list[dict[str, str]]:
    return [{name: text for name, text in asdict(fault).items() if text or name != "expected"} for fault in faults]


def _problem(problem: Problem) -> Answer:
    headers = {**problem.headers, "Content-Type": "application/problem+json"}
    body = json.dumps(problem.body(), separators=(",", ":")).encode()
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return Answer(problem.status, [*pairs, (b"content-length", b"%d" % len(body))], body)


@lru_cache(maxsize=256)
def _all_accepted(count: int) -> Answer:
    return _json(b'{"accepted":%d,"rejected":[]}' % count)


def _json(body: bytes) -> Answer:
    return Answer(200, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))], body)
