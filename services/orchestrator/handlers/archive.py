"""Keeping each policy that decides, so that its decisions can be explained when it is no longer in force."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.store import policies


class PolicyArchive:
    """Remembers what is kept. `document` gives the sections of the policy in force.

    A transaction may be rolled back after it has kept a policy, so one is only sure to be there when a later one finds it:
    that makes two statements to each policy in all, and none to a batch.
    """

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self._document = document
        self._sure: set[str] = set()

    async def keep(self, connection: AsyncConnection, version: str, now: datetime) -> None:
        """The policy in force, which has this version, decides. Call it once in a transaction, and before anything is awaited
        since the policy was asked for: then the document is that of the same file."""
        if version not in self._sure and await policies.keep(connection, version, self._document(), now):
            self._sure.add(version)
