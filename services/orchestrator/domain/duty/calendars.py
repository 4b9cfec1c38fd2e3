"""Calendars of others: what stands in them, and whom they mean. Nobody is guessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.duty.spans import Fixed, Span, flattened

LONGEST_NAME = 120
"""Characters of a name that nobody knows, as it is shown."""
MOST_NAMES = 20
"""Unknown names that are shown."""
MOST_CLASHES = 100


@dataclass(frozen=True)
class Entry:
    """An event of the calendar, once. `mails` are those of who takes part."""

    start: datetime
    end: datetime
    uid: str
    summary: str
    mails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """A calendar, and the tag to show when it is asked for again."""

    body: bytes = field(repr=False)
    tag: str


@dataclass(frozen=True)
class Unchanged:
    """The calendar is as it was when the tag was given."""


@dataclass(frozen=True)
class NoFeed:
    """Why there is no calendar to be had, in words without what is secret in its address."""

    sentence: str


@dataclass(frozen=True)
class Clash:
    """Two people at once, who should be one."""

    start: datetime
    end: datetime
    people: tuple[str, str]


@dataclass(frozen=True)
class Calendar:
    """Who has which time. `unknown` are the names in there that mean nobody."""

    known: Fixed
    clashes: tuple[Clash, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whom:
    """Whom the words of a calendar mean. `named` is what the configuration says of this one, by the words in it."""

    named: Mapping[str, str]
    mails: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, named: Mapping[str, str], people: Iterable[tuple[str, str, str | None]]) -> "Whom":
        """`people` are ids with names and addresses. What two of them have in common means none of them."""
        mails: dict[str, frozenset[str]] = {}
        names: dict[str, frozenset[str]] = {}
        for person, name, mail in people:
            for words, table in (((person, name), names), ((mail,), mails)):
                for word in filter(None, words):
                    table[_folded(word)] = table.get(_folded(word), frozenset()) | {person}
        return cls({_folded(word): person for word, person in named.items()}, mails, names)

    def meant(self, entry: Entry) -> str | None:
        """By who takes part when that is one person, else by what the entry is called."""
        taking_part = {person for mail in entry.mails if (person := self._by(mail, self.mails))}
        if len(taking_part) == 1:
            return taking_part.pop()
        return self._by(entry.summary, self.names) or self._by(entry.summary, self.mails)

    def _by(self, word: str, table: Mapping[str, frozenset[str]]) -> str | None:
        folded = _folded(word)
        found = table.get(folded, frozenset())
        return self.named.get(folded) or (next(iter(found)) if len(found) == 1 else None)


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())


def calendar_of(entries: Iterable[Entry], whom: Whom) -> Calendar:
    """Of several entries at once the one that begins last counts, for it was put over the others; of those the shortest.

    An entry that names nobody we know still counts: whoever it is meant for, it is not the one below it.
    """
    ordered = sorted(entries, key=lambda entry: (entry.start, -entry.end.timestamp(), entry.uid))
    spans = [Span(entry.start, entry.end, whom.meant(entry)) for entry in ordered if entry.start < entry.end]
    unknown = dict.fromkeys(_shown(entry) for entry in ordered if whom.meant(entry) is None)
    return Calendar(Fixed(tuple(flattened(spans))), tuple(_clashes(spans)), tuple(unknown)[:MOST_NAMES])


def _shown(entry: Entry) -> str:
    return one_line(entry.summary or ", ".join(entry.mails) or entry.uid, LONGEST_NAME)


def _clashes(spans: Sequence[Span]) -> list[Clash]:
    """Each entry that begins in the time of another person's, with the one of them that lasts longest."""
    found: list[Clash] = []
    longest: Span | None = None
    for span in (span for span in spans if span.person is not None):
        if longest and longest.person and span.person and span.start < longest.end and span.person != longest.person:
            found.append(Clash(span.start, min(span.end, longest.end), (longest.person, span.person)))
        if longest is None or span.end > longest.end:
            longest = span
    return found[:MOST_CLASHES]
