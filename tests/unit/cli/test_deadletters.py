"""`tocsin deadletters` on real storage: listed and shown beside a Tocsin that runs, sent again when it is stopped."""

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.alerts import AlertReceived
from schemas.catalogue import encode
from schemas.deadletters import DeadLetter
from schemas.ids import Fingerprint, digest
from schemas.topics import ALERTS, DEADLETTERS
from schemas.vocabulary import AlertStatus
from services.process import storage_lock
from services.runtime.bus.port import Message, Record
from services.runtime.bus.sqlite import SqliteBus
from services.runtime.clock import Clock
from tests.unit.cli.conftest import Tocsin

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def an_alert() -> bytes:
    alert = AlertReceived(
        fingerprint=Fingerprint("f" * 16), status=AlertStatus.FIRING, labels={"alertname": "A"}, starts_at=NOW, received_at=NOW
    )
    return encode(alert.TYPE, alert, id="the-id", source="test", subject=alert.fingerprint)


def a_letter(body: bytes, origin: str = ALERTS) -> Message:
    letter = DeadLetter(
        origin=origin, partition=0, offset=7, key="f" * 16, reason="invalid", detail="too \x1b[31mold",
        body=base64.b64encode(body).decode(), refused_by="orchestrator", at=NOW,
    )  # fmt: skip
    name = digest(origin, letter.body)
    return Message(DEADLETTERS, origin, encode(letter.TYPE, letter, id=name, source="test", subject=origin))


async def with_bus(storage: Path, messages: list[Message], read: str = DEADLETTERS) -> list[Record]:
    """Publish messages; what the topic then holds."""
    bus = SqliteBus(storage / "bus.db", Clock())
    await bus.start()
    await bus.publish(messages)
    records = await bus.read(read, -1, 1000)
    await bus.stop()
    return records


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Three letters: one that can be read by now, one that never can, one of the webhook."""
    letters = [a_letter(an_alert()), a_letter(b"\xff{"), a_letter(b"{}", "webhooks/alertmanager")]
    asyncio.run(with_bus(tmp_path, letters))
    return tmp_path


def ids(tocsin: Tocsin, storage: Path) -> list[str]:
    return [letter["id"] for letter in tocsin("deadletters", "list", "--storage.path", str(storage), "-o", "json").json]


def test_letters_are_listed_oldest_first(tocsin: Tocsin, storage: Path) -> None:
    lines = tocsin("deadletters", "list", "--storage.path", str(storage)).out.splitlines()
    assert [line.split()[3] for line in lines[1:]] == ["tocsin.alerts", "tocsin.alerts", "webhooks/alertmanager"]
    assert "\x1b" not in "".join(lines)
    assert len(tocsin("deadletters", "list", "--limit", "2", "--storage.path", str(storage), "-o", "json").json) == 2


def test_a_letter_is_shown_with_its_bytes(tocsin: Tocsin, storage: Path) -> None:
    first, second, _ = ids(tocsin, storage)
    shown = tocsin("deadletters", "show", first[:12], "--storage.path", str(storage)).out
    assert '"alertname":"A"' in shown
    assert "tocsin.alerts 0/7" in shown
    assert tocsin("deadletters", "show", second, "--storage.path", str(storage)).status == 0


def test_a_letter_is_sent_again_as_it_was(tocsin: Tocsin, storage: Path) -> None:
    first = ids(tocsin, storage)[0]
    assert tocsin("deadletters", "replay", first, "--storage.path", str(storage)).status == 0
    (record,) = asyncio.run(with_bus(storage, [], ALERTS))
    assert (record.key, record.value) == ("f" * 16, an_alert())


def test_what_cannot_be_read_is_sent_again_only_by_force(tocsin: Tocsin, storage: Path) -> None:
    second = ids(tocsin, storage)[1]
    refused = tocsin("deadletters", "replay", second, "--storage.path", str(storage))
    assert refused.status == 1
    assert "cannot read it either" in refused.err
    assert tocsin("deadletters", "replay", second, "--force", "--storage.path", str(storage)).status == 0


def test_an_alert_of_a_webhook_is_not_a_message(tocsin: Tocsin, storage: Path) -> None:
    refused = tocsin("deadletters", "replay", ids(tocsin, storage)[2], "--storage.path", str(storage))
    assert refused.status == 1
    assert "webhook" in refused.err


def test_beside_a_running_tocsin_letters_can_be_read_but_not_sent(tocsin: Tocsin, storage: Path) -> None:
    with storage_lock(storage):
        first = ids(tocsin, storage)[0]
        refused = tocsin("deadletters", "replay", first, "--storage.path", str(storage))
    assert refused.status == 1
    assert "stop Tocsin first" in refused.err


def test_an_unknown_or_ambiguous_id_is_said_in_words(tocsin: Tocsin, storage: Path) -> None:
    assert "no dead letters" in tocsin("deadletters", "show", "zzz", "--storage.path", str(storage)).err
    assert "3 dead letters" in tocsin("deadletters", "show", "", "--storage.path", str(storage)).err


def test_no_storage_is_said_in_words(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("deadletters", "list", "--storage.path", str(tmp_path / "none"))
    assert outcome.status == 1
    assert "cannot be read" in outcome.err
