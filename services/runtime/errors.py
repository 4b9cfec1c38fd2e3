"""The error tree. Every docstring is the sentence a person reads; `TocsinError` is never raised itself.

TocsinError
├── Unavailable            transient: wait and try again; HTTP 503
│   ├── BusUnavailable
│   └── DatabaseUnavailable
├── StaleBatch             another reader has already handled this batch
├── ConfigError            the configuration cannot be used; carries every place that is wrong
├── AddressTaken           the address to listen on cannot be had
└── StorageInUse           another process owns the storage folder
"""

from dataclasses import dataclass


class TocsinError(Exception):
    """Something went wrong in Tocsin."""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or (self.__doc__ or "").strip()
        super().__init__(self.detail)


class Unavailable(TocsinError):
    """A part that Tocsin stands on does not answer; try again."""


class BusUnavailable(Unavailable):
    """The message bus does not answer; nothing was accepted."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer; nothing was changed."""


class StaleBatch(TocsinError):
    """Another reader has already handled this batch."""


class AddressTaken(TocsinError):
    """The address to listen on cannot be had."""


class StorageInUse(TocsinError):
    """Another process uses this storage folder."""


@dataclass(frozen=True)
class Fault:
    """One place in a file that is wrong: `line` and `column` start at 1; 0 means the place is not known."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(TocsinError):
    """The configuration cannot be used."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True)
class Caution(Fault):
    """One place that is probably not what was meant. Nothing is refused for it."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: warning: {self.message}"
