"""The message board as a `Channel`. It has one destination, and a message is known by the delivery that posted it."""

# ruff: noqa: ARG002 (the port gives channels more than this one needs)

from datetime import datetime

from services.notifier.domain.content import Content
from services.notifier.ports import Address, Board, Channel, Gone


class BoardChannel(Channel):
    """Writes to the notifier's own database. That it is away is no trouble of the channel and is raised as what it is."""

    name = "board"

    def __init__(self, board: Board, url: str | None = None) -> None:
        self._board, self._url = board, url

    async def post(self, destination: str, content: Content, *, delivery: str, thread: Address | None) -> Address:
        root = _id(thread)
        if root is not None and not await self._board.exists(root):
            raise Gone("the message to answer is no longer on the board")
        await self._board.post(delivery, content, root)
        return self._address(delivery)

    async def edit(self, address: Address, content: Content, *, delivery: str) -> Address:
        if not await self._board.edit(address.parts["id"], content, delivery):
            raise Gone("the message is no longer on the board")
        return address

    async def find(self, destination: str, *, delivery: str, since: datetime, thread: Address | None) -> Address | None:
        found = await self._board.find(delivery, _id(thread))
        return self._address(found) if found else None

    async def check(self, destination: str) -> str | None:
        await self._board.exists("")
        return None

    def _address(self, id: str) -> Address:
        return Address({"id": id}, f"{self._url}/#{id}" if self._url else None)


def _id(thread: Address | None) -> str | None:
    return thread.parts["id"] if thread else None
