"""The door, the size, the patience, the answers while the bus is away, and what is counted."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Message, Receive

from services.ingest.api.body import MAX_BODY, MAX_IN_FLIGHT
from services.ingest.metrics import OUTCOMES
from services.runtime.auth import Grant, token_hash
from tests.support.memory_bus import MemoryBus
from tests.unit.ingest.house import ADMIN, BEARER, PATH, READER, SENDER, House, a_memory_house, a_webhook, an_alert

BODY = a_webhook(an_alert())


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


def a_scope(**changes: Any) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {SENDER}".encode())]
    return {"type": "http", "method": "POST", "path": PATH, "headers": headers} | changes


async def call(house: House, receive: Receive, **changes: Any) -> list[Message]:
    """The application as a server calls it; what it sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    await house.app(a_scope(**changes), receive, send)
    return sent


async def never() -> Message:
    raise AssertionError("the body must not be asked for")


@pytest.mark.parametrize("header", [f"Bearer {SENDER}", f"bearer {SENDER}", basic(SENDER), f"Bearer {ADMIN}"])
async def test_a_token_with_the_scope_is_let_in(header: str) -> None:
    house = a_memory_house()

    for _ in range(2):
        assert (await house.client.post(PATH, json=BODY, headers={"Authorization": header})).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", SENDER, basic("wrong"), "Basic !", "Basic \xff", "Bearer \xff"])
async def test_no_known_token_is_401_before_the_body_is_read(header: str) -> None:
    sent = await call(a_memory_house(), never, headers=[(b"authorization", header.encode("latin-1"))])

    assert sent[0]["status"] == 401
    assert (b"www-authenticate", b'Basic realm="tocsin", charset="UTF-8"') in sent[0]["headers"]
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["code"] == "unauthorized"


async def test_a_token_without_the_scope_is_403_before_the_body_is_read() -> None:
    sent = await call(a_memory_house(), never, headers=[(b"authorization", f"Bearer {READER}".encode())])

    assert sent[0]["status"] == 403


async def test_a_withdrawn_token_counts_no_longer() -> None:
    house = a_memory_house()
    assert (await house.post(BODY)).status_code == 200

    house.grants[:] = [Grant(token_hash("new"), "new", frozenset({"alerts"}))]

    assert (await house.post(BODY)).status_code == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(method: str) -> None:
    answer = await a_memory_house().client.request(method, PATH)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", [PATH + "/", PATH + "/x", PATH + "x"])
async def test_paths_below_are_404(path: str) -> None:
    assert (await a_memory_house().client.post(path, json=BODY)).status_code == 404


async def test_declared_size_over_the_limit_is_413_at_once() -> None:
    for size in (str(MAX_BODY + 1), "9" * 5000):
        headers = [*a_scope()["headers"], (b"content-length", size.encode())]
        sent = await call(a_memory_house(), never, headers=headers)

        assert sent[0]["status"] == 413
        assert (b"connection", b"close") in sent[0]["headers"]


async def test_chunked_body_over_the_limit_is_413_and_reading_stops() -> None:
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": bytes(MAX_BODY // 2), "more_body": True}

    sent = await call(a_memory_house(), receive)

    assert (sent[0]["status"], asked) == (413, 3)


async def test_bodies_that_would_not_fit_into_memory_together_are_503_before_they_are_read() -> None:
    house, let_go = a_memory_house(), asyncio.Event()

    async def stuck() -> Message:
        await let_go.wait()
        return {"type": "http.disconnect"}

    largest = [*a_scope()["headers"], (b"content-length", str(MAX_BODY).encode())]
    reading = [asyncio.create_task(call(house, stuck, headers=largest)) for _ in range(MAX_IN_FLIGHT // MAX_BODY)]
    await asyncio.sleep(0)
    sent = await call(house, never, headers=largest)

    assert sent[0]["status"] == 503
    assert {(b"retry-after", b"5"), (b"connection", b"close")} <= set(sent[0]["headers"])
    assert (await house.post(BODY)).status_code == 503, "not even a small one fits"
    let_go.set()
    await asyncio.gather(*reading)
    assert (await house.post(BODY)).status_code == 200


async def test_bodies_of_undeclared_size_count_as_they_come() -> None:
    house, let_go = a_memory_house(), asyncio.Event()

    def a_body() -> Receive:
        chunks = iter([MAX_BODY // 2, MAX_BODY // 2])

        async def receive() -> Message:
            if size := next(chunks, 0):
                return {"type": "http.request", "body": bytes(size), "more_body": True}
            await let_go.wait()
            return {"type": "http.disconnect"}

        return receive

    reading = [asyncio.create_task(call(house, a_body())) for _ in range(MAX_IN_FLIGHT // MAX_BODY)]
    await asyncio.sleep(0)
    assert (await call(house, a_body()))[0]["status"] == 503
    let_go.set()
    await asyncio.gather(*reading)
    assert (await house.post(BODY)).status_code == 200


async def test_a_body_counts_until_it_is_handled() -> None:
    house, let_go = a_memory_house(), asyncio.Event()
    publish = house.bus.publish

    async def slow(messages: Any) -> None:
        await let_go.wait()
        await publish(messages)

    house.bus.publish = slow  # type: ignore[method-assign]
    body = json.dumps(BODY).encode().ljust(MAX_BODY)
    sending = [asyncio.create_task(house.post(body)) for _ in range(MAX_IN_FLIGHT // MAX_BODY)]
    while house.sample("tocsin_ingest_bytes_total") != MAX_IN_FLIGHT:
        await asyncio.sleep(0.01)
    assert (await house.post(BODY)).status_code == 503
    let_go.set()
    assert [answer.status_code for answer in await asyncio.gather(*sending)] == [200] * len(sending)
    assert (await house.post(BODY)).status_code == 200
    await house.part.stop()


async def test_body_in_chunks_is_put_together() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in json.dumps(BODY).encode():
            yield bytes([byte])

    house = a_memory_house()
    answer = await house.client.post(PATH, content=chunks())

    assert answer.json() == {"accepted": 1, "rejected": []}


async def test_client_that_goes_away_is_counted_and_not_answered() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    house = a_memory_house()

    assert await call(house, gone) == []
    assert house.sample("tocsin_ingest_webhooks_total", outcome="disconnected") == 1


async def test_body_that_does_not_arrive_is_503_after_ten_seconds() -> None:
    house, reading = a_memory_house(), asyncio.Event()
    watch = asyncio.ensure_future(house.part.loops["slow_bodies"]())

    async def stuck() -> Message:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(call(house, stuck))
    await reading.wait()
    house.clock.advance(timedelta(seconds=9))
    house.clock.advance(timedelta(seconds=1))
    sent = await task

    assert sent[0]["status"] == 503
    assert {(b"retry-after", b"5"), (b"connection", b"close")} <= set(sent[0]["headers"])
    assert house.sample("tocsin_ingest_webhooks_total", outcome="too_slow") == 1
    watch.cancel()


async def test_cancelling_from_elsewhere_is_not_taken_for_a_slow_body() -> None:
    house, reading = a_memory_house(), asyncio.Event()

    async def stuck() -> Message:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(call(house, stuck))
    await reading.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.sample("tocsin_ingest_webhooks_in_flight") == 0


async def test_bus_that_is_known_to_be_away_is_503_before_the_body_is_read() -> None:
    house = a_memory_house()
    assert isinstance(house.bus, MemoryBus)
    house.bus.away = "the bus does not answer"

    sent = await call(house, never)

    assert sent[0]["status"] == 503
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert house.part.readiness() == ["the bus does not answer"]


async def test_failed_publish_is_503_and_nothing_counts_as_accepted() -> None:
    house = a_memory_house()
    assert isinstance(house.bus, MemoryBus)
    house.bus.failing = True

    answer = await house.post(a_webhook(an_alert(), "bad"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["code"] == "unavailable"
    assert house.sample("tocsin_ingest_alerts_total", outcome="accepted") == 0
    house.bus.failing = False
    assert (await house.post(BODY)).status_code == 200
    assert house.part.readiness() == []


async def test_all_series_are_there_from_the_start() -> None:
    house = a_memory_house()

    assert [house.sample("tocsin_ingest_webhooks_total", outcome=outcome) for outcome in OUTCOMES] == [0] * len(OUTCOMES)
    assert [house.sample("tocsin_ingest_alerts_total", outcome=outcome) for outcome in ("accepted", "rejected")] == [0, 0]
    assert house.sample("tocsin_ingest_webhooks_in_flight") == 0
    assert house.sample("tocsin_ingest_bytes_total") == 0
    assert house.sample("tocsin_ingest_webhook_seconds_count") == 0


async def test_what_happened_is_counted() -> None:
    house = a_memory_house()
    body = json.dumps(a_webhook(an_alert(), an_alert(), "bad")).encode()

    await house.post(body)
    await house.post(b"nonsense")

    assert house.sample("tocsin_ingest_webhooks_total", outcome="accepted") == 1
    assert house.sample("tocsin_ingest_webhooks_total", outcome="invalid") == 1
    assert house.sample("tocsin_ingest_alerts_total", outcome="accepted") == 2
    assert house.sample("tocsin_ingest_alerts_total", outcome="rejected") == 1
    assert house.sample("tocsin_ingest_bytes_total") == len(body) + len(b"nonsense")
    assert house.sample("tocsin_ingest_webhook_seconds_count") == 1


async def test_every_outcome_of_a_problem_has_its_series() -> None:
    """A problem whose code is no outcome would be a KeyError in the face of the sender."""
    house = a_memory_house()
    sends: list[Callable[[], Any]] = [
        lambda: house.client.get(PATH),
        lambda: house.client.post(PATH + "/x"),
        lambda: house.client.post(PATH, headers={"Authorization": ""}),
        lambda: house.client.post(PATH, headers={"Authorization": f"Bearer {READER}"}),
        lambda: house.client.post(PATH, content=bytes(MAX_BODY + 1), headers=BEARER),
        lambda: house.post(b""),
    ]
    answers = [(await send()).json() for send in sends]

    assert [house.sample("tocsin_ingest_webhooks_total", outcome=answer["code"]) for answer in answers] == [1] * len(sends)
    assert SENDER not in json.dumps(answers)
