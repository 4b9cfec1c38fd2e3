"""A bus without a disk, for tests of writers: it remembers what was published and can be told to be away."""

from collections.abc import Sequence

from schemas.topics import Topic
from services.runtime.bus.port import Bus, Message, Positions, Record, Subscription
from services.runtime.errors import BusUnavailable


class MemoryBus(Bus):
    """`away` is the reason that `available` gives; `failing` makes `publish` fail although the bus seemed to be there."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.publishes = 0
        self.away: str | None = None
        self.failing = False

    async def start(self) -> None:
        self.away = None

    async def stop(self) -> None:
        self.away = "stopped"

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.away or self.failing:
            raise BusUnavailable
        self.publishes += 1
        self.messages.extend(messages)

    def available(self) -> str | None:
        return self.away

    def on(self, topic: str) -> list[Message]:
        """What was published to the topic."""
        return [message for message in self.messages if message.topic == topic]

    def subscribe(self, group: str, topics: Sequence[str], positions: Positions) -> Subscription:
        raise AssertionError("nobody reads from this bus")

    async def describe(self) -> list[tuple[Topic, int, int]]:
        raise AssertionError("nobody describes this bus")

    async def read(self, topic: str, after: int, limit: int) -> list[Record]:
        raise AssertionError("nobody reads from this bus")
