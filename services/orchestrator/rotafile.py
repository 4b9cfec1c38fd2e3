"""From the configuration to who is on call, and to the calendars that say so."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from zoneinfo import ZoneInfo

from services import config as file
from services.orchestrator.adapters.ical import Place, expand, fetch
from services.orchestrator.domain.duty.calendars import Whom
from services.orchestrator.domain.duty.hours import DAY, Hours
from services.orchestrator.domain.duty.layers import Layer
from services.orchestrator.domain.duty.members import Member
from services.orchestrator.domain.duty.rotation import Rotation
from services.orchestrator.handlers.feeds import Feed
from services.orchestrator.handlers.oncall import Contact, Plan
from services.windows import zone_of


def plan_of(config: file.Config, version: str) -> Plan:
    """What the configuration says of being on call."""
    return Plan(
        version=version,
        rotations=tuple(map(_rotation, config.rotations)),
        feeds=feeds_of(config),
        people={person.id: Contact(person.name, person.email) for person in config.people},
    )


def feeds_of(config: file.Config) -> Mapping[str, Feed]:
    """The calendars, by the rotation that takes them."""
    return {each.name: _feed(each, each.feed, config) for each in config.rotations if each.feed is not None}


def _rotation(section: file.Rotation) -> Rotation:
    return Rotation(
        name=section.name,
        role=section.role,
        zone=zone_of(section.zone),
        services=tuple(section.services),
        layers=tuple(_layer(layer, number, section) for number, layer in enumerate(section.layers, 1)),
    )


def _layer(section: file.Layer, number: int, rotation: file.Rotation) -> Layer:
    return Layer(
        name=section.name or f"layer {number}",
        zone=zone_of(section.zone or rotation.zone),
        starts=file.wall_moment(section.starts),
        every=section.every,
        members=tuple(map(_member, section.people)),
        until=file.wall_moment(section.until) if section.until else None,
        hours=tuple(map(_hours, section.hours)),
    )


def _member(section: file.Member) -> Member:
    since, until = (file.wall_moment(text) if text else None for text in (section.since, section.until))
    return Member(section.person, since, until)


def _hours(section: file.Hours) -> Hours:
    opens, closes = file.minutes_of(section.opens), file.minutes_of(section.closes)
    days = frozenset[int]().union(*map(file.days_of, section.days))
    return Hours(days, opens, closes + DAY if section.overnight else closes)


def _feed(rotation: file.Rotation, section: file.Feed, config: file.Config) -> Feed:
    place = Place(section.url, section.url_file, section.file, tuple(config.feeds.allow))
    return Feed(
        rotation=rotation.name,
        source=_identity(section, zone_of(rotation.zone)),
        whom=Whom.of(section.people, ((person.id, person.name, person.email) for person in config.people)),
        fetch=partial(fetch, place),
        expand=partial(expand, zone_of(rotation.zone)),
        refresh=section.refresh,
    )


def _identity(section: file.Feed, zone: ZoneInfo) -> str:
    """Another one when the calendar is another one, or is read by other clocks."""
    words = "\0".join(str(word or "") for word in (section.url, section.url_file, section.file, zone.key))
    return hashlib.sha256(words.encode()).hexdigest()


@dataclass
class PlanInForce:
    """Reads what the file says anew only when the file has changed."""

    file: file.ConfigFile
    _plan: Plan | None = field(default=None, init=False)

    def __call__(self) -> Plan:
        if self._plan is None or self._plan.version != self.file.hash:
            self._plan = plan_of(self.file.config, self.file.hash)
        return self._plan
