"""The same webhook again and again, in any order, from anybody: the same incidents as if it had come once."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

from tests.builders import an_alert, resolved
from tests.support.journal import Journal, storm
from tests.support.tocsin import eventually, in_process


async def test_every_webhook_ten_times_from_three_peers(tmp_path: Path) -> None:
    async with in_process(tmp_path) as (process, client):
        journal = Journal(f"{process.url}/webhooks/alertmanager")
        webhooks = storm(1000, 100, services=4)
        await journal.deliver(webhooks * 10, peers=3, width=6)
        await journal.settled(client)
        assert len(journal.accepted) == 30_000
        assert len(await client.all("/alerts")) == 1000
        incidents = await client.all("/incidents")
        assert [incident["alerts"]["firing"] for incident in incidents] == [250] * 4
        roots = [delivery for delivery in await client.deliveries(state="sent", limit=200) if delivery["kind"] == "reply"]
        assert roots == [], "nobody is told twice of what did not change"


async def test_all_orders_of_firing_resolved_and_fired_again(tmp_path: Path) -> None:
    start = datetime.now(UTC) - timedelta(minutes=10)
    async with in_process(tmp_path) as (process, client):
        journal = Journal(f"{process.url}/webhooks/alertmanager")
        for number, order in enumerate(permutations(range(3))):
            first = an_alert(service=f"order-{number}", starts_at=start)
            again = an_alert(service=f"order-{number}", starts_at=start + timedelta(minutes=3))
            messages = [first, resolved(first, start + timedelta(minutes=2)), again]
            for index in order:
                await journal.deliver([[messages[index]]], width=1)
        await journal.settled(client)
        incidents = await eventually(lambda: client.all("/incidents"), lambda found: len(found) == 6)
        assert {(i["state"], i["alerts"]["firing"], i["alerts"]["gating"]) for i in incidents} == {("active", 1, 1)}
