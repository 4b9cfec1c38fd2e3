"""What all tests share: real servers started once, honest reports about what could not run, a clean environment."""

import os
from collections.abc import Iterator

import pytest

from tests.support import kafka as kafka_support
from tests.support import postgres as postgres_support
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

_MISSING = pytest.StashKey[dict[str, str]]()


def need(config: pytest.Config, name: str, missing: str | None) -> None:
    """Skip what needs something that is not there, and say so at the end; where CI is set, fail instead."""
    if missing is None:
        return
    config.stash.setdefault(_MISSING, {})[name] = missing
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{name}: {missing}", pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[KafkaServer]:
    """A broker that all tests share; who wants to hurt one starts one of its own."""
    need(pytestconfig, "Kafka", kafka_support.unavailable())
    server = KafkaServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A server that all tests share; each takes a database of its own."""
    need(pytestconfig, "PostgreSQL", postgres_support.unavailable())
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit and property tests see no TOCSIN_* variable of the person who runs them."""
    if {"unit", "property"} & set(request.path.parts):
        for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
            monkeypatch.delenv(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what did not run, and how to get it."""
    missing = config.stash.get(_MISSING, {})
    if missing:
        terminalreporter.section("not run")
        for name, reason in missing.items():
            terminalreporter.line(f"tests with {name}: {reason}")
