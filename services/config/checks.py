"""What does not fit together in a file though each of its values may be good.

All of it looks at what the file says as YAML reads it, where nothing needs to be of the right kind, so that every fault is
told at once.
"""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from services.config.duty import rotation_faults
from services.config.maintenance import window_faults
from services.runtime.faults import Steps, did_you_mean, spelt

Data = Mapping[str, Any]
Disagreement = tuple[Steps, str]

_NAMED: tuple[tuple[str, Steps, str], ...] = (
    ("severity rule", ("severity", "rules"), "name"),
    ("correlation rule", ("correlation", "rules"), "name"),
    ("rule", ("rules",), "name"),
    ("maintenance", ("maintenance",), "name"),
    ("SLO", ("slos",), "name"),
    ("saturation", ("saturation",), "name"),
    ("person", ("people",), "id"),
    ("rotation", ("rotations",), "name"),
    ("token", ("access", "tokens"), "name"),
)
"""What has a name that must be given once: in words, where, and the key of the name."""

MOST_CIRCLES = 100
"""Services that all depend on each other make more circles than anybody can read."""


def disagreements(data: Data, complete: bool) -> Iterator[Disagreement]:
    """Each with its place. When a part could not be read, nothing is said about what may be in there."""
    yield from _names_given_twice(data)
    yield from _circles(data)
    yield from _windows(data)
    yield from rotation_faults(data, complete)
    if complete:
        yield from _unknown_persons(data)
        yield from _queries_for_nobody(data)


def entries(data: Data, *steps: str | int) -> Iterator[tuple[Steps, Data]]:
    """The mappings in the list at that path, each with its own path."""
    value: Any = data
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    for index, entry in enumerate(value) if isinstance(value, list) else ():
        if isinstance(entry, dict):
            yield (*steps, index), entry


def _names_given_twice(data: Data) -> Iterator[Disagreement]:
    for kind, steps, key in _NAMED:
        seen: set[str] = set()
        for place, entry in entries(data, *steps):
            name = entry.get(key)
            if isinstance(name, str):
                if name in seen:
                    yield (*place, key), f"two entries for the {kind} {name!r}; expected each once"
                seen.add(name)


def _unknown_persons(data: Data) -> Iterator[Disagreement]:
    people = [person.get("id") for _, person in entries(data, "people")]
    known = [name for name in people if isinstance(name, str)]
    for place, token in entries(data, "access", "tokens"):
        person = token.get("person")
        if isinstance(person, str) and person not in known:
            yield (*place, "person"), f"there is no {person!r} under people{did_you_mean(person, known)}"


def _circles(data: Data) -> Iterator[Disagreement]:
    """Each circle of dependencies once, at the entry that closes it."""
    needs = _dependencies(data)
    for _ in range(MOST_CIRCLES):
        if (circle := _circle(needs)) is None:
            return
        last, first = circle[-2:]
        place: Steps = ("dependencies", last, needs[last].pop(first))
        if last == first:
            yield place, f"{spelt(last)} depends on itself; expected other services"
        else:
            way = " → ".join(map(spelt, circle))
            yield place, f"{way} is a circle; expected that no service depends on itself through others"


def _dependencies(data: Data) -> dict[str, dict[str, int]]:
    """Each service with those that it needs and their index, as far as the file says that properly."""
    given = data.get("dependencies")
    return {
        service: {each: index for index, each in enumerate(others) if isinstance(each, str)}
        for service, others in (given.items() if isinstance(given, dict) else ())
        if isinstance(service, str) and isinstance(others, list)
    }


def _circle(needs: Mapping[str, Mapping[str, int]]) -> list[str] | None:
    """One circle, from a service over what it needs back to it; it begins with the one that stands first in the file."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][:0:-1]
        order = {service: index for index, service in enumerate(needs)}
        start = ring.index(min(ring, key=order.__getitem__))
        return [*ring[start:], *ring[:start], ring[start]]
    return None


def _queries_for_nobody(data: Data) -> Iterator[Disagreement]:
    if data.get("prometheus") is None:
        for section in ("slos", "saturation"):
            if isinstance(data.get(section), list) and data[section]:
                yield (section,), "there is no prometheus section to ask; expected one with its url"


def _windows(data: Data) -> Iterator[Disagreement]:
    for place, entry in entries(data, "maintenance"):
        for key, message in window_faults(entry):
            yield (*place, key), message
