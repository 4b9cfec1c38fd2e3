"""Help comes at once, and wrong usage is status 2."""

import subprocess
import sys

import pytest

from tests.unit.cli.conftest import Tocsin

HEAVY = {"fastapi", "sqlalchemy", "alembic", "pydantic", "httpx2", "uvicorn", "aiokafka", "slack_sdk", "rich", "structlog"}


def test_help_imports_nothing_heavy() -> None:
    help_ = "build()(['--help'], standalone_mode=False)"
    program = f"import sys; from services.cli.__main__ import build; {help_}; print(*sys.modules)"
    seen = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert HEAVY & set(seen.split()) == set()


def test_it_also_runs_as_a_module() -> None:
    help_ = subprocess.run([sys.executable, "-m", "services", "--help"], check=True, capture_output=True, text=True).stdout
    assert "Usage: tocsin" in help_


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["incident", "show"],
        ["incident", "resolve", "INC-1"],
        ["incident", "list", "-o", "xml"],
        ["fire", "--label", "novalue"],
        ["token", "create", "--name", "x", "--scope", "all"],
        ["serve", "everything"],
        ["serve", "--web.listen-address", "8080"],
        ["serve", "--web.listen-address", "::1:80"],
        ["serve", "--web.listen-address", "host:70000"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(tocsin: Tocsin, args: list[str]) -> None:
    outcome = tocsin(*args)
    assert (outcome.status, outcome.out) == (2, "")
    assert "Usage:" in outcome.err
