"""From the configuration to who is on call."""

from datetime import timedelta
from pathlib import Path

from schemas.vocabulary import Role
from services.config import Config, ConfigFile
from services.orchestrator.domain.duty.calendars import Entry, Fetched
from services.orchestrator.domain.duty.oncall import shifts
from services.orchestrator.domain.duty.roster import Roster
from services.orchestrator.handlers.oncall import Contact
from services.orchestrator.rotafile import PlanInForce, feeds_of, plan_of
from services.runtime.yamlfile import parse
from tests.support.calendars import CalendarServer, an_event, calendar
from tests.support.duty import at, told

TEXT = """
people: [{id: ann, name: Ann Smith, email: ann@example.com}, {id: bob, name: Bob Jones}, {id: ken, name: Ken Ito}]
rotations:
  - name: eoc
    role: eoc
    services: [web]
    zone: Europe/Berlin
    layers:
      - {people: [bob, ann], starts: "2026-01-05T09:00"}
      - name: tokyo
        zone: Asia/Tokyo
        people: [ken]
        starts: 2026-01-05T00:00
        until: 2027-01-01
        hours: [{days: [mon-wed, fri], from: 09:00, to: 17:00}, {days: sat, from: "22:00", to: "06:00", overnight: true}]
  - {name: cmoc, role: cmoc, zone: %(zone)s, feed: {url: "%(url)s/cmoc.ics", refresh: 5m, people: {"Number One": bob}}}
feeds: {allow: ["127.0.0.1"]}
"""


def config(zone: str = "Europe/Berlin", url: str = "http://127.0.0.1:1") -> Config:
    return parse((TEXT % {"zone": zone, "url": url}).encode(), "f", Config)


def test_layers_are_as_the_file_says() -> None:
    plan = plan_of(config(), "v")
    eoc, cmoc = plan.rotations
    assert (eoc.role, eoc.services, eoc.zone.key, cmoc.layers) == (Role.EOC, ("web",), "Europe/Berlin", ())
    assert [(layer.name, layer.zone.key) for layer in eoc.layers] == [("layer 1", "Europe/Berlin"), ("tokyo", "Asia/Tokyo")]
    assert told(shifts(eoc, [], at("2026-11-25T00:00"), at("2026-11-30T00:00"))) == [
        "25 00:00 bob", "25 01:00 ken", "25 09:00 bob", "27 01:00 ken", "27 09:00 bob", "28 14:00 ken", "28 22:00 bob",
    ]  # fmt: skip
    assert plan.people["ann"] == Contact("Ann Smith", "ann@example.com")
    assert Roster(plan.rotations).duty(Role.EOC, ["web"], at("2026-11-25T02:00")).person == "ken"


async def test_a_calendar_is_fetched_and_worked_out_as_the_file_says() -> None:
    async with CalendarServer() as server:
        server.says["/cmoc.ics"] = calendar(an_event("number one", ";VALUE=DATE:20261124", ";VALUE=DATE:20261125"))
        feed = feeds_of(config(url=server.url))["cmoc"]
        fetched = await feed.fetch(None)
        assert isinstance(fetched, Fetched)
        entries = await feed.expand(fetched.body, at("2026-11-23T00:00"), at("2026-11-30T00:00"))
    assert entries == [Entry(at("2026-11-24T00:00"), at("2026-11-25T00:00"), "1", "number one")]
    assert isinstance(entries, list) and feed.whom.meant(entries[0]) == "bob"
    assert feed.refresh == timedelta(minutes=5)


def test_another_address_or_zone_makes_it_another_calendar_other_words_do_not() -> None:
    source = feeds_of(config())["cmoc"].source
    assert source == feeds_of(config())["cmoc"].source
    assert source != feeds_of(config(url="http://127.0.0.1:2"))["cmoc"].source
    assert source != feeds_of(config(zone="Asia/Tokyo"))["cmoc"].source
    changed = parse(
        (TEXT % {"zone": "Europe/Berlin", "url": "http://127.0.0.1:1"}).replace("Number One", "1").encode(), "f", Config
    )
    assert source == feeds_of(changed)["cmoc"].source


def test_the_plan_is_read_anew_only_when_the_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text(TEXT % {"zone": "UTC", "url": "http://127.0.0.1:1"})
    opened = ConfigFile.open(file)
    plan = PlanInForce(opened)
    first = plan()
    assert plan() is first
    file.write_text("rotations: []")
    opened.reload()
    assert plan().rotations == ()
