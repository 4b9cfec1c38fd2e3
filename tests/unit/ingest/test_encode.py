"""The fast encoder gives the bytes that the envelope's own model gives."""

from datetime import UTC, datetime

import pytest

from schemas.alerts import AlertReceived
from schemas.catalogue import decode, encode
from schemas.deadletters import DeadLetter
from schemas.envelope import Envelope
from schemas.ids import Fingerprint
from schemas.vocabulary import AlertStatus

NOW = datetime(2026, 11, 23, 7, 0, 0, 1000, tzinfo=UTC)
ALERT = AlertReceived(
    fingerprint=Fingerprint("ed7b3ad6b6f992fe"),
    status=AlertStatus.FIRING,
    labels={"alertname": 'quote " back \\ slash / tab \t \x01 \x7f é 😀 \u2028'},
    starts_at=NOW.replace(microsecond=0),
    received_at=NOW,
)
LETTER = DeadLetter(origin="o", reason="rejected", detail="d", body="", refused_by="ingest", at=NOW)


@pytest.mark.parametrize("data", [ALERT, LETTER])
@pytest.mark.parametrize("text", ["x", 'é" \\ \n \x02 😀'])
def test_bytes_are_those_of_the_models(data: AlertReceived | DeadLetter, text: str) -> None:
    head = Envelope(id=text, source=text, type=data.TYPE, subject=text, time=NOW, data={})
    slow = head.model_dump_json(exclude={"data"})[:-1] + ',"data":' + data.model_dump_json() + "}"

    value = encode(data.TYPE, data, id=text, source=text, subject=text)

    assert value == slow.encode()
    assert decode(value) == (head.model_copy(update={"data": data.model_dump(mode="json")}), data)


@pytest.mark.parametrize(("id", "subject"), [("", "s"), ("x" * 256, "s"), ("x", "s" * 256)])
def test_what_the_envelope_refuses_is_refused(id: str, subject: str) -> None:
    with pytest.raises(ValueError, match="Envelope"):
        encode(ALERT.TYPE, ALERT, id=id, source="s", subject=subject)
