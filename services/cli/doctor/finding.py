"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it."""

    check: str
    status: Status
    text: str
    hint: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Status.OK, text)


def warn(check: str, text: str, hint: str) -> Finding:
    return Finding(check, Status.WARN, text, hint)


def fail(check: str, text: str, hint: str) -> Finding:
    return Finding(check, Status.FAIL, text, hint)
