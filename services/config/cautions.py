"""What a policy says that is probably not meant. Nothing is refused for it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from services.config.matching import Matched, doubt
from services.config.model import Config
from services.config.reach import Nearby, covers, hides, outdoes
from services.runtime.errors import Caution
from services.runtime.faults import Steps, dotted, within
from services.runtime.yamlfile import Document

Doubt = tuple[Steps, str]


R = TypeVar("R", bound=Matched)


def cautions(config: Config, document: Document) -> list[Caution]:
    """All of them, each at its place."""
    correlation, severity = ("correlation", "rules"), ("severity", "rules")
    found = [
        *_doubtful_matchers(config),
        *_never_first(config.rules, ("rules",), hides, document),
        *_never_first(config.correlation.rules, correlation, covers, document),
        *_outdone(config, severity, document),
        *_out_of_reach(config),
    ]
    return [caution(document, steps, message) for steps, message in found]


def caution(document: Document, steps: Steps, message: str) -> Caution:
    """A warning at its place."""
    place = document.place(steps)
    return Caution(place.file, place.line, place.column, f"{dotted(within(steps, document.data))}: {message}")


def _doubtful_matchers(config: Config) -> Iterator[Doubt]:
    sections: tuple[tuple[Steps, Sequence[Matched]], ...] = (
        (("severity", "rules"), config.severity.rules),
        (("correlation", "rules"), config.correlation.rules),
        (("rules",), config.rules),
        (("maintenance",), config.maintenance),
        (("slos",), config.slos),
    )
    for steps, entries in sections:
        for index, entry in enumerate(entries):
            for number, text in enumerate(entry.match):
                if message := doubt(text):
                    yield (*steps, index, "match", number), message


def _never_first(rules: Sequence[R], steps: Steps, hides: Callable[[R, R], bool], document: Document) -> Iterator[Doubt]:
    """The rules that can never decide, each with the first one that hides it."""
    nearby = Nearby(rules)
    for index, later in enumerate(rules):
        before = next((number for number in nearby.of(later) if number < index and hides(rules[number], later)), None)
        if before is not None:
            first = f"{rules[before].name!r} ({document.place((*steps, before))})"
            yield (*steps, index), f"{later.name!r} never decides: {first} comes before it and is for all of its alerts"


def _outdone(config: Config, steps: Steps, document: Document) -> Iterator[Doubt]:
    """The severity rules that never count, because a worse one, or as bad a one before them, holds whenever they do."""
    rules, nearby = config.severity.rules, Nearby(config.severity.rules)
    for index, rule in enumerate(rules):
        for number in nearby.of(rule):
            other = rules[number]
            counts_first = number < index or other.severity.outranks(rule.severity)
            if number != index and counts_first and outdoes(other, rule):
                better = f"{other.name!r} ({document.place((*steps, number))})"
                yield (*steps, index), f"{rule.name!r} never counts: {better} holds whenever it does and says {other.severity}"
                break


def _out_of_reach(config: Config) -> Iterator[Doubt]:
    """Those whom nobody can tell anything."""
    for index, person in enumerate(config.people):
        if not person.reachable:
            yield ("people", index), f"nobody can reach {person.id}; expected any of slack, email, phone and pager"
