"""Ingest on the real embedded bus."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.ingest.house import House, a_house, a_sqlite_bus


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(a_sqlite_bus(tmp_path)) as house:
        yield house
