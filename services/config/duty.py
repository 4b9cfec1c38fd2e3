"""What does not fit together in people and rotations though each of their values may be good."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from services.config.rotations import minutes_of, wall_moment
from services.config.values import wall
from services.runtime.faults import Steps, did_you_mean

Data = Mapping[str, Any]
Disagreement = tuple[Steps, str]
Found = Iterator[tuple[Steps, Data]]

T = TypeVar("T")

_SOURCES = ("url", "url_file", "file")


def rotation_faults(data: Data, complete: bool) -> Iterator[Disagreement]:
    """Each with its place. When a part could not be read, nothing is said about people who may be in there."""
    for place, rotation in _entries(data, "rotations", ()):
        yield from _nobody(rotation, place)
        yield from _source(rotation, place)
        yield from _names(rotation, place)
        for steps, layer in _entries(rotation, "layers", place):
            yield from _times(layer, steps)
    if complete:
        yield from _unknown_people(data)
    yield from _same_duty(data)


def _entries(data: Data, key: str, at: Steps) -> Found:
    """The mappings of a list, each with its place."""
    value = data.get(key)
    for index, entry in enumerate(value) if isinstance(value, list) else ():
        if isinstance(entry, dict):
            yield (*at, key, index), entry


def _nobody(rotation: Data, at: Steps) -> Iterator[Disagreement]:
    if rotation.get("feed") is None and rotation.get("layers") in (None, []):
        yield at, "nobody is in there; expected layers with people, or a feed"
    for place, layer in _entries(rotation, "layers", at):
        if layer.get("people") == []:
            yield (*place, "people"), "nobody is in there; expected at least one person"


def _source(rotation: Data, at: Steps) -> Iterator[Disagreement]:
    feed = rotation.get("feed")
    if isinstance(feed, dict):
        given = [source for source in _SOURCES if feed.get(source) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "nothing says where it is"
            yield (*at, "feed"), f"{found}; expected one of {', '.join(_SOURCES)}"


def _names(rotation: Data, at: Steps) -> Iterator[Disagreement]:
    seen: set[str] = set()
    for place, layer in _entries(rotation, "layers", at):
        name = layer.get("name")
        if isinstance(name, str):
            if name in seen:
                yield (*place, "name"), f"two layers have the name {name!r}; expected each once"
            seen.add(name)


def _times(layer: Data, at: Steps) -> Iterator[Disagreement]:
    yield from _in_order(layer, "starts", "until", at)
    for place, member in _entries(layer, "people", at):
        yield from _in_order(member, "from", "until", place)
    for place, hours in _entries(layer, "hours", at):
        yield from _hours(hours, place)


def _in_order(entry: Data, first: str, second: str, at: Steps) -> Iterator[Disagreement]:
    before, after = (_read(wall_moment, wall(entry.get(key))) for key in (first, second))
    if before is not None and after is not None and after <= before:
        yield (*at, second), f"{_minute(after)} does not lie after {_minute(before)}, which {first} says; expected a later time"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def _hours(entry: Data, at: Steps) -> Iterator[Disagreement]:
    opens, closes = _read(minutes_of, entry.get("from")), _read(minutes_of, entry.get("to"))
    if opens is None or closes is None:
        return
    if entry.get("overnight") is True:
        if closes > opens:
            yield (*at, "to"), "it ends on the next day, more than 24 hours later; expected a time that is not later than from"
    elif closes <= opens:
        hint = "a later time, or overnight: true if it ends on the next day"
        yield (*at, "to"), f"it ends before it begins; expected {hint}"


def _read(reader: Callable[[object], T], value: object) -> T | None:
    """The value, if it is one at all; else that is told elsewhere."""
    try:
        return reader(value)
    except ValueError:
        return None


def _unknown_people(data: Data) -> Iterator[Disagreement]:
    known = [person["id"] for _, person in _entries(data, "people", ()) if isinstance(person.get("id"), str)]
    for place, rotation in _entries(data, "rotations", ()):
        for steps, person in _named(rotation, place):
            if person not in known:
                yield steps, f"there is no {person!r} under people{did_you_mean(person, known)}"


def _named(rotation: Data, at: Steps) -> Iterator[tuple[Steps, str]]:
    """Everybody whom it names, with the place."""
    for place, layer in _entries(rotation, "layers", at):
        given = layer.get("people")
        for index, member in enumerate(given) if isinstance(given, list) else ():
            if isinstance(member, str):
                yield (*place, "people", index), member
            elif isinstance(member, dict) and isinstance(member.get("person"), str):
                yield (*place, "people", index, "person"), member["person"]
    feed = rotation.get("feed")
    words = feed.get("people") if isinstance(feed, dict) else None
    for word, person in words.items() if isinstance(words, dict) else ():
        if isinstance(person, str):
            yield (*at, "feed", "people", word), person


def _same_duty(data: Data) -> Iterator[Disagreement]:
    """Two rotations for one role and one service, or for one role and whatever no other is for."""
    first: dict[tuple[str, str | None], str] = {}
    for place, rotation in _entries(data, "rotations", ()):
        name, role, services = rotation.get("name"), rotation.get("role"), rotation.get("services") or [None]
        if not isinstance(role, str) or not isinstance(services, list):
            continue
        for index, service in enumerate(services):
            if service is None or isinstance(service, str):
                other = first.setdefault((role, service), str(name))
                if other != str(name):
                    steps: Steps = (*place, "role") if service is None else (*place, "services", index)
                    yield steps, f"{other!r} and {name!r} are both for {_duty(role, service)}; expected one rotation"


def _duty(role: str, service: str | None) -> str:
    return f"the role {role} and all other services" if service is None else f"the role {role} and the service {service!r}"
