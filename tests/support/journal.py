"""The oracle of the fault tests: what was accepted, written down outside the system, and what must then be true of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2

from schemas.alerts import AlertReceived
from tests.builders import an_alert, webhook
from tests.support.tocsin import TOKEN, Client, eventually

Accepted = tuple[str, datetime]


@dataclass
class Answer:
    """One attempt to deliver a webhook: its status (0 when there was no answer) and how long it took, in seconds."""

    status: int
    seconds: float
    at: float


@dataclass
class Journal:
    """Delivers webhooks as Alertmanager does (5xx and broken connections are tried again) and keeps what was answered 200."""

    url: str
    accepted: list[Accepted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    retry_after: float = 0.1

    async def deliver(self, webhooks: Sequence[Sequence[AlertReceived]], *, width: int = 8, peers: int = 1) -> None:
        """Deliver each webhook from each of `peers` senders until it is answered 200, `width` at a time."""
        queue = [(alerts, peer) for alerts in webhooks for peer in range(peers)]
        queue.reverse()
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:

            async def work() -> None:
                while queue:
                    alerts, peer = queue.pop()
                    await self._until_accepted(http, alerts, peer)

            await asyncio.gather(*(work() for _ in range(width)))

    async def once(self, http: httpx2.AsyncClient, alerts: Sequence[AlertReceived], peer: int = 0) -> int:
        """One attempt; its status, 0 when there was no answer."""
        body = webhook(*alerts, externalURL=f"http://alertmanager-{peer}.example:9093")
        started = time.monotonic()
        try:
            response = await http.post(self.url, json=body)
            status = response.status_code
            if status == 200:
                assert response.json() == {"accepted": len(alerts), "rejected": []}
        except httpx2.TransportError:
            status = 0
        self.answers.append(Answer(status, time.monotonic() - started, started))
        if status == 200:
            self.accepted += [(alert.fingerprint, alert.starts_at) for alert in alerts]
        return status

    async def _until_accepted(self, http: httpx2.AsyncClient, alerts: Sequence[AlertReceived], peer: int) -> None:
        while (status := await self.once(http, alerts, peer)) != 200:
            assert status in {0, 503}, f"Alertmanager would give up on {status}"
            await asyncio.sleep(self.retry_after)

    async def settled(self, client: Client, within: float = 60.0) -> None:
        """Wait until everything accepted is decided and everything said is delivered; then check that nothing is wrong."""
        expected = len({fingerprint for fingerprint, _ in self.accepted})

        async def decided() -> int:
            page = await client.get("/alerts", limit=1)
            return int(page["items"][0]["decision"]["seq"]) if page["items"] else 0

        await eventually(decided, lambda count: count >= expected, within)
        await eventually(lambda: _unfinished(client), lambda names: not names, within)
        await self.check(client)

    async def check(self, client: Client) -> None:
        """Every accepted alert has exactly one decision, decisions are gapless, at most one incident is open per key."""
        firings = await client.all("/alerts")
        sequence = sorted(firing["decision"]["seq"] for firing in firings)
        assert sequence == list(range(1, len(firings) + 1)), "decisions are gapless and made once"
        by_fingerprint: dict[str, list[tuple[datetime, datetime]]] = {}
        for firing in firings:
            ends = datetime.fromisoformat(firing["ends_at"]) if firing["ends_at"] else datetime.max.replace(tzinfo=UTC)
            by_fingerprint.setdefault(firing["fingerprint"], []).append((datetime.fromisoformat(firing["starts_at"]), ends))
        for fingerprint, starts_at in set(self.accepted):
            covering = [span for span in by_fingerprint.get(fingerprint, []) if span[0] <= starts_at <= span[1]]
            assert len(covering) == 1, f"{fingerprint} at {starts_at}: {len(covering)} decisions"
        await self._check_incidents(client, firings)

    async def _check_incidents(self, client: Client, firings: Sequence[dict[str, object]]) -> None:
        incidents = await client.all("/incidents")
        open_keys = Counter(i["correlation_key"] for i in incidents if i["state"] in {"triage", "active", "mitigated"})
        assert not [key for key, count in open_keys.items() if count > 1], "one open incident per key"
        for incident in incidents:
            linked = await client.all(f"/incidents/{incident['id']}/alerts")
            counts = incident["alerts"]
            assert counts["firing"] == sum(f["state"] == "firing" for f in linked), incident["id"]
            assert counts["resolved"] == sum(f["state"] == "resolved" for f in linked), incident["id"]
        assert len(firings) >= sum(i["alerts"]["firing"] + i["alerts"]["resolved"] for i in incidents)


async def _unfinished(client: Client) -> list[str]:
    """What is still to be told: deliveries not at their end, and incidents whose newest version nobody has heard of."""
    waiting = [await client.deliveries(state=state, limit=100) for state in ("pending", "sending")]
    unheard = []
    for incident in await client.all("/incidents"):
        told = await client.deliveries(incident=incident["id"], limit=20)
        if max((item["version"] for item in told), default=0) < incident["version"]:
            unheard.append(incident["id"])
    return [item["id"] for items in waiting for item in items] + unheard


def storm(alerts: int, per_webhook: int, *, services: int = 5, severity: str = "s1") -> list[list[AlertReceived]]:
    """A storm of different alerts over some services, in webhooks of a given size."""
    now = datetime.now(UTC)

    def one(number: int) -> AlertReceived:
        service, host = f"service-{number % services}", f"host-{number}"
        return an_alert(f"Storm{number % 50}", severity=severity, service=service, instance=host, starts_at=now)

    every = [one(number) for number in range(alerts)]
    return [every[start : start + per_webhook] for start in range(0, alerts, per_webhook)]
