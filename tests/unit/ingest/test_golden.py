"""Bodies recorded from a real Alertmanager become exactly these messages."""

import json
from pathlib import Path

import pytest

from schemas.topics import ALERTS
from tests.unit.ingest.house import House

RECORDED = sorted(path.parent for path in (Path(__file__).parents[2] / "golden" / "alertmanager").glob("*/payload.json"))


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
async def test_recorded_body_becomes_the_expected_messages(house: House, folder: Path) -> None:
    answer = await house.post((folder / "payload.json").read_bytes())

    messages = [{"key": record.key, "value": json.loads(record.value)} for record in await house.records(ALERTS)]
    assert answer.json() == {"accepted": len(messages), "rejected": []}
    assert messages == json.loads((folder / "expected.json").read_text())


async def test_repeated_body_gives_the_same_ids(house: House) -> None:
    body = (RECORDED[0] / "payload.json").read_bytes()

    await house.post(body)
    await house.post(body)

    first, second = await house.alerts()
    assert first.id == second.id


def test_there_are_recordings() -> None:
    assert len(RECORDED) == 5
