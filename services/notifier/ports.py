"""What the notifier needs: channels to reach people, and a store that remembers what became of each delivery."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.content import Content, Kind
from services.notifier.domain.delivery import Delivery, State
from services.notifier.domain.plan import Planned
from services.notifier.domain.rate import Call, Limits
from services.notifier.domain.trouble import ChannelError, Gone, NotAllowed, Trouble
from services.runtime.work import Claimed

__all__ = [
    "Address", "Begun", "Board", "Channel", "ChannelError", "Channels", "Claimed", "Desk", "Gone", "Job", "Limits", "NotAllowed",
    "Outcomes", "Plans", "Posted", "Thread", "Trouble",
]  # fmt: skip


@dataclass(frozen=True)
class Address:
    """Where a message stands at its destination: enough to edit it and to answer in its thread (JSON-safe strings)."""

    parts: dict[str, str] = field(default_factory=dict)
    url: str | None = None


class Channel(ABC):
    """A way to reach people. `name` is its word in configuration, metrics and tables. Cancelling a call is safe."""

    name: str

    @abstractmethod
    async def post(self, destination: str, content: Content, *, delivery: str, thread: Address | None) -> Address:
        """Say something new (in the thread when given). `delivery` is put where `find` will see it. Raises `ChannelError`."""

    @abstractmethod
    async def edit(self, address: Address, content: Content, *, delivery: str) -> Address:
        """Replace what a message says; doing it twice is the same as once. Raises `ChannelError`."""

    @abstractmethod
    async def find(self, destination: str, *, delivery: str, since: datetime, thread: Address | None) -> Address | None:
        """The message that an earlier try may have left; None when it certainly left none. Raises `ChannelError`."""

    @abstractmethod
    async def check(self, destination: str) -> str | None:
        """None when the channel works, else what is wrong and what to do about it, in words; for `doctor`."""

    async def close(self) -> None:  # noqa: B027 (many have nothing to give back)
        """Give connections back."""


class Channels(Protocol):
    """The channels of the configuration in force."""

    def get(self, name: str) -> Channel | str | None:
        """The channel; in words what keeps it from being used yet; None when the configuration no longer has it."""
        ...


@dataclass(frozen=True)
class Thread:
    """An incident's thread at a destination. `address` is that of its summary, once known.

    Until then `marker` is what a try that may have left a summary was marked with, `tried_at` when that was.
    """

    address: Address | None = None
    marker: str | None = None
    tried_at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """A delivery to be made, with the thread it belongs to. `overtakes`: older summaries of its place are still open.

    `root` is for a reply whose thread was lost: what the newest summary said, to be said again so that there is a thread.
    """

    delivery: Delivery
    thread: Thread
    overtakes: bool
    root: Content | None = None

    @property
    def is_summary(self) -> bool:
        return self.delivery.kind == "summary"

    @property
    def call(self) -> Call:
        """Whether it posts a message or changes one that is there."""
        return "edit" if self.is_summary and self.thread.address is not None else "post"

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier try may have left the message."""
        return self.thread.marker is not None if self.is_summary else self.delivery.doubt

    @property
    def marker(self) -> str:
        """What the message is looked for by. A summary keeps that of the first try, whichever version that was for."""
        return (self.thread.marker if self.is_summary else None) or self.delivery.id

    @property
    def since(self) -> datetime:
        """No try was made before this moment."""
        return (self.thread.tried_at if self.is_summary else None) or self.delivery.created_at


@dataclass(frozen=True)
class Begun:
    """A try that is counted, before any byte has left. `look_first`: an earlier one may have left the message."""

    job: Job
    look_first: bool
    superseded: int
    """So many older summaries came to an end by it."""


class Plans(Protocol):
    """Where plans are stored, in the transaction of the batch they come from."""

    async def add(self, connection: AsyncConnection, planned: Sequence[Planned], now: datetime) -> list[tuple[str, Kind]]:
        """Store the plans and the work they mean; what was planned before is left as it is, unless one of these is the last
        word at its place: then what is still pending there is superseded.

        Returns the channel and the kind of each that this has superseded, new ones among them.
        """
        ...


class Outcomes(Protocol):
    """What becomes of deliveries. Calls with a connection belong to the transaction that claims the work; each of the others is
    one transaction, together with the piece of work, and changes nothing and returns False when somebody else has taken the
    delivery over meanwhile.
    """

    async def load(self, connection: AsyncConnection, pieces: Sequence[Claimed]) -> list[tuple[Claimed, Job | ValueError]]:
        """What is to be made; an error where what is stored cannot be read. Pieces without anything to do are ended."""
        ...

    async def begin(self, connection: AsyncConnection, jobs: Sequence[Job], now: datetime) -> list[Begun]:
        """Count a try of each before any byte leaves."""
        ...

    async def wait(self, connection: AsyncConnection, claimed: Claimed, until: datetime, reason: str) -> None:
        """Not yet its turn; no try was made."""
        ...

    async def hold(self, connection: AsyncConnection, claimed: Claimed, job: Job, until: datetime, reason: str) -> None:
        """As `wait`, and people are to know why."""
        ...

    async def rooted(self, job: Job, address: Address) -> None:
        """The thread has a first message again."""
        ...

    async def sent(self, claimed: Claimed, job: Job, address: Address, now: datetime, note: str | None) -> bool:
        """`note`: what people should know of how it was sent."""
        ...

    async def failed(self, claimed: Claimed, job: Job, reason: str, now: datetime, *, doubt: bool) -> bool: ...

    async def again(self, claimed: Claimed, job: Job, at: datetime, reason: str, *, doubt: bool) -> bool: ...

    async def forget(self, claimed: Claimed, job: Job, now: datetime, reason: str) -> bool:
        """The thread's address leads nowhere: post anew, now."""
        ...


class Desk(Protocol):
    """Looking at deliveries, and asking for one again. A delivery is told as a JSON-safe mapping."""

    async def page(
        self, *, incident: str | None, state: State | None, limit: int, before: int | None
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Newest first, and from where to go on."""
        ...

    async def retry(self, id: str, now: datetime) -> dict[str, Any] | str | None:
        """The delivery, due now; a refusal in words; None when no such delivery exists."""
        ...


@dataclass(frozen=True)
class Posted:
    """A message on the board, with its replies."""

    id: str
    content: Content
    posted_at: datetime
    edited_at: datetime | None
    replies: tuple["Posted", ...] = ()


class Board(Protocol):
    """The messages of the built-in board."""

    async def post(self, id: str, content: Content, thread: str | None) -> None:
        """Doing it twice is the same as once."""
        ...

    async def edit(self, id: str, content: Content, delivery: str) -> bool:
        """False when there is no such message."""
        ...

    async def find(self, delivery: str, thread: str | None) -> str | None:
        """The message that the delivery wrote last."""
        ...

    async def exists(self, id: str) -> bool: ...

    async def newest(self, limit: int) -> list[Posted]:
        """What is not over, then at most `limit` of what is over; each newest first, with its newest replies in order."""
        ...
