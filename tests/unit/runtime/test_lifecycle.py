"""Parts start in order, stop in reverse order, and never keep a process from ending."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from services.runtime import lifecycle
from services.runtime.lifecycle import Part, running
from services.runtime.metrics import RuntimeMetrics


def the_metrics() -> RuntimeMetrics:
    return RuntimeMetrics(CollectorRegistry())


async def stubborn() -> None:
    """Does not let itself be cancelled in any useful time."""
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(ends - time.monotonic())
        except asyncio.CancelledError:
            continue


async def test_loops_and_parts_that_do_not_end_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "STOP", 0.4)
    monkeypatch.setattr(lifecycle, "LOOPS", 0.3)
    stopped: list[str] = []

    async def stop() -> None:
        stopped.append("well")

    parts = [
        Part("bus", stop=stubborn),
        Part("well", stop=stop),
        Part("service", stop=stubborn, loops={"one": stubborn, "two": stubborn}),
    ]
    async with running(parts, the_metrics()):
        await asyncio.sleep(0)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    assert stopped == ["well"], "one part that cannot stop must not keep the others"


async def test_a_part_that_fails_to_stop_keeps_nobody() -> None:
    stopped: list[str] = []

    def a_part(name: str) -> Part:
        async def stop() -> None:
            stopped.append(name)
            raise LookupError(name)

        return Part(name, stop=stop)

    async with running([a_part("first"), a_part("second")], the_metrics()):
        pass
    assert stopped == ["second", "first"]
