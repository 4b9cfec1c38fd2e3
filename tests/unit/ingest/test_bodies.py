"""Bodies, right and wrong: what is accepted, what is rejected and kept, what is refused as a whole."""

import base64
import json
from typing import Any

import pytest

from schemas.ids import fingerprint_of
from schemas.topics import ALERTS, DEADLETTERS
from services.ingest.domain.bounds import DROPPED, MAX_ALERTS
from services.runtime.deadletters import MAX_BODY
from tests.support.memory_bus import MemoryBus
from tests.unit.ingest.house import House, a_memory_house, a_webhook, an_alert


async def test_unknown_and_new_keys_are_ignored(house: House) -> None:
    body = a_webhook(an_alert(new=[1]), notification_reason="first notification", routeLabels={"a": "b"}, other=None)

    assert (await house.post(body)).json() == {"accepted": 1, "rejected": []}


async def test_all_but_the_needful_may_be_absent(house: House) -> None:
    alert = {"status": "firing", "labels": {"alertname": "X", "job": "y"}, "startsAt": "2026-11-23T06:43:25+01:00"}

    answer = await house.post({"version": "4", "alerts": [alert]})

    assert answer.json() == {"accepted": 1, "rejected": []}
    (message,) = await house.alerts()
    assert message.data["fingerprint"] == fingerprint_of({"alertname": "X", "job": "y"}) == message.subject
    assert message.data["starts_at"] == "2026-11-23T05:43:25Z"


async def test_null_counts_as_absent(house: House) -> None:
    nothing = dict.fromkeys(("annotations", "endsAt", "generatorURL", "fingerprint"))

    answer = await house.post(a_webhook(an_alert(**nothing), receiver=None, groupKey=None, externalURL=None))

    assert answer.json() == {"accepted": 1, "rejected": []}


async def test_fingerprint_of_a_sender_without_one_equals_what_alertmanager_sends(house: House) -> None:
    labels = {"alertname": "Watchdog", "severity": "none"}

    await house.post(a_webhook(an_alert(labels=labels, fingerprint="")))

    assert [message.subject for message in await house.alerts()] == ["448881ef475b9b26"]


async def test_empty_list_is_fine(house: House) -> None:
    answer = await house.post(a_webhook())

    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "rejected": []})


@pytest.mark.parametrize(
    ("body", "pointer", "expected"),
    [
        (b"", "", "a JSON object"),
        (b"not json", "", "a JSON object"),
        (b'{"version":"4","alerts":[]', "", "a JSON object"),
        (b'\xef\xbb\xbf{"version":"4","alerts":[]}', "", "a JSON object"),
        (b'{"version":"4","alerts":[],"x":"\xff"}', "", "a JSON object"),
        (b'{"version":"4","alerts":[],"x":' + b"9" * 5000 + b"}", "", "a JSON object"),
        (b'{"version":"4","alerts":' + b"[" * 100_000, "", "a webhook of Alertmanager"),
        (b'{"version":"4","alerts":[{"labels":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}]}", "", "a webhook of Alertmanager"),
        (b"[]", "", "a JSON object"),
        (b"NaN", "", "a JSON object"),
        (b"null", "", "a JSON object"),
        (a_webhook(version="3"), "/version", '"4"'),
        (a_webhook(version=4), "/version", '"4"'),
        ({"alerts": []}, "/version", '"4"'),
        ({"version": "4"}, "/alerts", "a list"),
        (a_webhook(alerts={}), "/alerts", "a list"),
        (a_webhook(alerts=None), "/alerts", "a list"),
        (a_webhook(alerts=[{}] * (MAX_ALERTS + 1)), "/alerts", "at most 20,000 alerts"),
    ],
)
async def test_unusable_body_is_refused_with_its_place(house: House, body: Any, pointer: str, expected: str) -> None:
    answer = await house.post(body)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["expected"]) == (pointer, expected)
    assert await house.records(ALERTS) == await house.records(DEADLETTERS) == []


BAD_ALERTS: list[tuple[Any, str]] = [
    (None, ""),
    (1, ""),
    ("x", ""),
    ([], ""),
    ({}, "/status"),
    (an_alert(status="pending"), "/status"),
    (an_alert(status=None), "/status"),
    (an_alert(labels=[]), "/labels"),
    (an_alert(labels={}), "/labels"),
    (an_alert(labels=None), "/labels"),
    (an_alert(labels={"a": 1}), "/labels/a"),
    (an_alert(labels={"a": float("nan")}), "/labels/a"),
    (an_alert(labels={"a": None}), "/labels/a"),
    (an_alert(labels={"a/b~": {}}), "/labels/a~1b~0"),
    (an_alert(labels={f"l{n}": "v" for n in range(65)}), "/labels"),
    (an_alert(labels={"n" * 1025: "v"}), "/labels"),
    (an_alert(labels={"n": "v" * 4097}), "/labels"),
    (an_alert(labels={"n": "\0"}), "/labels"),
    (an_alert(labels={"\0": "v"}), "/labels"),
    (an_alert(labels={"n": "\ud800"}), ""),
    (an_alert(labels={"\udfff": "v"}), ""),
    (an_alert(annotations=[]), "/annotations"),
    (an_alert(annotations={"a": 1}), "/annotations/a"),
    (an_alert(startsAt=None), "/startsAt"),
    (an_alert(startsAt=1700000000), "/startsAt"),
    (an_alert(startsAt="yesterday"), "/startsAt"),
    (an_alert(startsAt="2026-13-01T00:00:00Z"), "/startsAt"),
    (an_alert(startsAt="0001-01-01T00:00:00+14:00"), "/startsAt"),
    (an_alert(startsAt="2026-11-25T00:00:00Z"), "/startsAt"),
    (an_alert(endsAt="never"), "/endsAt"),
    (an_alert(generatorURL=1), "/generatorURL"),
    (an_alert(fingerprint="x" * 65), "/fingerprint"),
    (an_alert(fingerprint="../x"), "/fingerprint"),
    (an_alert(labels={f"l{n}": "\x01" * 1000 for n in range(64)}), ""),
    (an_alert(annotations={f"a{n}": "v" * 32_000 for n in range(10)}), ""),
]


@pytest.mark.parametrize(("bad", "pointer"), BAD_ALERTS)
async def test_bad_alert_among_good_ones_is_rejected_and_kept(house: House, bad: Any, pointer: str) -> None:
    answer = await house.post(a_webhook(an_alert(), bad, an_alert(status="resolved")))

    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    (rejected,) = answer.json()["rejected"]
    assert rejected["pointer"] == f"/alerts/1{pointer}"
    assert rejected["message"]
    (letter,) = await house.letters()
    data = letter.data
    assert (data["reason"], data["origin"], data["refused_by"]) == ("rejected", "webhooks/alertmanager", "ingest")
    assert data["detail"].startswith(f"/alerts/1{pointer}: ")
    whole = json.dumps(bad, separators=(",", ":")).encode()
    assert base64.b64decode(data["body"]) == whole[:MAX_BODY]
    assert ("the body is cut" in data["detail"]) == (len(whole) > MAX_BODY)


@pytest.mark.parametrize(("bad", "pointer"), BAD_ALERTS)
async def test_body_with_nothing_but_bad_alerts_is_refused(house: House, bad: Any, pointer: str) -> None:
    answer = await house.post(a_webhook(bad, bad))

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/alerts/{n}{pointer}" for n in (0, 1)]
    assert await house.records(ALERTS) == await house.records(DEADLETTERS) == []
    assert house.sample("tocsin_ingest_alerts_total", outcome="rejected") == 2


@pytest.mark.parametrize("field", ["receiver", "groupKey", "externalURL"])
async def test_descriptive_text_of_a_wrong_type_counts_as_absent(house: House, field: str) -> None:
    answer = await house.post(a_webhook(an_alert(), **{field: 5}))

    assert answer.json() == {"accepted": 1, "rejected": []}


async def test_descriptive_text_is_bounded_and_never_a_reason_to_reject(house: House) -> None:
    long = "x" * 20_000
    alert = an_alert(generatorURL=long, annotations={"title": "t\0", "long": "é" * 20_000} | {f"a{n}": "" for n in range(99)})

    answer = await house.post(a_webhook(alert, receiver=long, groupKey="\ud800" + long, externalURL=long))

    assert answer.json() == {"accepted": 1, "rejected": []}
    (message,) = await house.alerts()
    data = message.data
    assert (data["generator_url"], data["external_url"]) == ("", "")
    assert max(len(data["receiver"].encode()), len(data["group_key"].encode())) <= 2048
    assert data["annotations"]["title"] == "t\ufffd"
    assert "[cut by Tocsin: " in data["annotations"]["long"]
    assert DROPPED in data["annotations"]


async def test_of_duplicate_keys_the_last_counts(house: House) -> None:
    body = json.dumps(a_webhook(an_alert())).replace('"version": "4"', '"version": "3", "version": "4"', 1)

    assert (await house.post(body.encode())).json()["accepted"] == 1


async def test_deep_nesting_beside_the_alerts_does_not_lose_them(house: House) -> None:
    deep = json.loads("[" * 300 + "]" * 300)

    assert (await house.post(a_webhook(an_alert(), other=deep))).json()["accepted"] == 1


async def test_resolved_without_a_usable_end_still_ends(house: House) -> None:
    await house.post(a_webhook(an_alert(status="resolved"), an_alert(endsAt="2026-11-23T08:00:00Z")))

    resolved, firing = await house.alerts()
    assert resolved.data["ends_at"] == "2026-11-23T07:00:00Z"
    assert firing.data["ends_at"] is None


async def test_ten_thousand_alerts_in_one_body() -> None:
    house, filler = a_memory_house(), "x" * 500
    alerts = [an_alert(labels={"n": str(n)}, annotations={"a": filler}, fingerprint=f"{n:016x}") for n in range(10_000)]

    answer = await house.post(a_webhook(*alerts, "bad"))

    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["rejected"])) == (200, 10_000, 1)
    assert isinstance(house.bus, MemoryBus)
    assert (house.bus.publishes, len(house.bus.messages)) == (1, 10_001)
    await house.part.stop()


async def test_repeated_bad_alert_gives_the_same_dead_letter(house: House) -> None:
    for _ in range(2):
        await house.post(a_webhook(an_alert(), an_alert(status="odd")))

    first, second = await house.letters()
    assert first.id == second.id
