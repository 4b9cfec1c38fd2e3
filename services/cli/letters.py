"""The dead letters where they lie: in Kafka, or in the storage folder of an embedded Tocsin."""

import asyncio
import base64
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.catalogue import Refused, decode
from schemas.deadletters import DeadLetter
from schemas.topics import DEADLETTERS
from services.cli.show import fail
from services.process import Settings, open_bus, storage_lock
from services.runtime.bus.port import Message, Record, TopicPartition
from services.runtime.bus.sqlite import open_readonly
from services.runtime.clock import Clock
from services.runtime.errors import BusUnavailable, StorageInUse

PAGE = 500


@dataclass(frozen=True)
class Letter:
    """A dead letter and where it lies."""

    id: str
    offset: int
    body: DeadLetter

    @property
    def raw(self) -> bytes:
        """The bytes that were refused."""
        return base64.b64decode(self.body.body)

    @property
    def place(self) -> str:
        """Where they came from."""
        where = "" if self.body.partition is None else f" {self.body.partition}/{self.body.offset}"
        return f"{self.body.origin}{where}"

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "letter_offset": self.offset} | self.body.model_dump(mode="json")


class Shelf:
    """Reads beside a Tocsin that runs; to send into an embedded one's storage that Tocsin must be stopped."""

    def __init__(self, storage: Path, kafka: str | None) -> None:
        self._settings = Settings(storage=storage, kafka=kafka)

    def letters(self) -> list[Letter]:
        """All of them, oldest first."""
        try:
            records = asyncio.run(self._fetch()) if self._settings.kafka else self._look()
        except BusUnavailable as error:
            fail(error.detail, "Is the address given by --kafka right?")
        except sqlite3.Error as error:
            fail(f"{self._file} cannot be read: {error}", "Is --storage.path right, and has Tocsin ever run with it?")
        return [letter for record in records if (letter := _letter(record))]

    def find(self, beginning: str) -> Letter:
        """The one letter whose id begins so."""
        found = [letter for letter in self.letters() if letter.id.startswith(beginning)]
        if len({letter.id for letter in found}) != 1:
            fail(f"{len(found) or 'no'} dead letters have an id that begins with {beginning!r}")
        return found[-1]

    def replay(self, letter: Letter) -> None:
        """Publish the letter's bytes where they were refused."""
        message = Message(letter.body.origin, letter.body.key, letter.raw)
        try:
            asyncio.run(self._publish(message))
        except StorageInUse as error:
            fail(error.detail, "Sending again needs the embedded storage for itself: stop Tocsin first, then start it again.")
        except BusUnavailable as error:
            fail(error.detail)

    @property
    def _file(self) -> Path:
        return self._settings.storage / "bus.db"

    def _look(self) -> list[Record]:
        records: list[Record] = []
        with closing(open_readonly(self._file)) as reader:
            while page := reader.read(TopicPartition(DEADLETTERS, 0), _after(records) + 1, PAGE):
                records += page
        return records

    async def _fetch(self) -> list[Record]:
        bus, records = open_bus(self._settings, Clock()), list[Record]()
        while page := await bus.read(DEADLETTERS, _after(records), PAGE):
            records += page
        return records

    async def _publish(self, message: Message) -> None:
        with ExitStack() as stack:
            if not self._settings.kafka:
                stack.enter_context(storage_lock(self._settings.storage))
            bus = open_bus(self._settings, Clock())
            await bus.start()
            try:
                await bus.publish([message])
            finally:
                await bus.stop()


def _after(records: Sequence[Record]) -> int:
    return records[-1].offset if records else -1


def _letter(record: Record) -> Letter | None:
    """None for a record of the topic that is itself none of ours."""
    try:
        envelope, body = decode(record.value)
    except Refused:
        return None
    return Letter(envelope.id, record.offset, body) if isinstance(body, DeadLetter) else None
