"""Whatever is sent: no 500, every alert accounted for, everything on the bus decodes."""

import base64
import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alerts import MAX_MESSAGE, AlertReceived
from schemas.catalogue import decode
from schemas.deadletters import DeadLetter
from schemas.topics import ALERTS, DEADLETTERS
from tests.unit.ingest.house import House, a_house, a_sqlite_bus, a_webhook, an_alert

TEXT = st.text(alphabet=st.characters(codec=None), max_size=8)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANY_JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)
MOMENT = st.sampled_from(
    ["2026-11-23T06:43:25.123456789Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1969-01-01", ""]
)
FIELD = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"])
STATUS = st.sampled_from(["firing", "resolved", "suppressed"])
LABELS = st.dictionaries(TEXT, TEXT | LEAF, max_size=4) | st.just({"n": "v" * 5000})
WORDS = st.sampled_from(
    [b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b'"\\u0000"', b"{", b"[", b"\xff", b"[" * 3000]
)

run = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def alerts(draw: st.DrawFn) -> Any:
    """A good alert in which one or two fields were replaced, or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ANY_JSON)
    alert = an_alert(status=draw(STATUS), startsAt=draw(MOMENT), endsAt=draw(MOMENT), annotations=draw(LABELS))
    for field in draw(st.lists(FIELD, max_size=2)):
        alert[field] = draw(ANY_JSON | LABELS)
    return alert


@st.composite
def broken_bytes(draw: st.DrawFn) -> bytes:
    """The text of a good webhook with a piece overwritten."""
    text = json.dumps(a_webhook(an_alert(), an_alert(status="resolved"))).encode()
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(WORDS | st.binary(max_size=6)) + text[start + draw(st.integers(0, 30)) :]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(a_sqlite_bus(tmp_path)) as house:
        yield house


class Account:
    """What one body put on the bus."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def begin(self) -> None:
        self._before = {topic: len(await self._house.records(topic)) for topic in (ALERTS, DEADLETTERS)}

    async def since(self, topic: str) -> list[Any]:
        records = (await self._house.records(topic))[self._before[topic] :]
        assert all(len(record.value) <= MAX_MESSAGE for record in records)
        return [decode(record.value)[1] for record in records]


async def check(house: House, body: bytes, sent: list[Any] | None) -> None:
    """`sent` are the alerts in the body when that is known."""
    account = Account(house)
    await account.begin()
    answer = await house.post(body)
    accepted, letters = await account.since(ALERTS), await account.since(DEADLETTERS)
    assert all(isinstance(alert, AlertReceived) for alert in accepted)
    assert all(isinstance(letter, DeadLetter) for letter in letters)
    if answer.status_code == 400:
        assert answer.json()["errors"]
        assert accepted == letters == []
        return
    assert answer.status_code == 200
    assert answer.json()["accepted"] == len(accepted)
    rejected = [int(fault["pointer"].split("/")[2]) for fault in answer.json()["rejected"]]
    assert len(rejected) == len(letters)
    if sent is not None:
        assert len(accepted) + len(rejected) == len(sent)
        kept = [base64.b64decode(letter.body) for letter in letters]
        assert kept == [json.dumps(sent[index], separators=(",", ":")).encode() for index in rejected]


@run
@given(batch=st.lists(alerts(), max_size=5))
async def test_every_alert_is_accepted_or_rejected_and_kept(house: House, batch: list[Any]) -> None:
    batch = copy.deepcopy(batch)

    await check(house, json.dumps(a_webhook(*batch, an_alert())).encode(), [*batch, an_alert()])


@run
@given(body=ANY_JSON | st.fixed_dictionaries({"version": st.just("4"), "alerts": ANY_JSON}))
async def test_any_json_is_answered(house: House, body: Any) -> None:
    await check(house, json.dumps(body).encode(), None)


@run
@given(body=st.binary(max_size=60) | broken_bytes())
async def test_any_bytes_are_answered(house: House, body: bytes) -> None:
    await check(house, body, None)


@run
@given(labels=st.dictionaries(TEXT, TEXT, max_size=5), extra=st.dictionaries(TEXT, ANY_JSON, max_size=3))
async def test_unknown_keys_never_matter(house: House, labels: dict[str, str], extra: dict[str, Any]) -> None:
    alert = an_alert()

    await check(house, json.dumps({**extra, **a_webhook({**extra, **alert}, an_alert(labels=labels))}).encode(), None)
