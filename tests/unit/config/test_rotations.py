"""People and rotations: what is understood, and what is told at its place."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.config import Config, ConfigFile, Rotation, days_of, minutes_of, wall_moment, written_interval
from services.config.rotations import parse_interval
from services.runtime.yamlfile import parse
from tests.unit.config.test_checks import faults

PEOPLE = "people: [{id: ann, name: Ann, email: a@x.y}, {id: bob, name: Bob, slack: U1}]\n"
WEEKLY = '{people: [ann, bob], starts: "2026-01-05T09:00"}'


def rotation(text: str, people: str = PEOPLE) -> Rotation:
    return parse(f"{people}rotations: [{text}]".encode(), "f", Config).rotations[0]


def told(text: str) -> list[str]:
    """The faults of one rotation, each with its path below it."""
    found = faults(f"{PEOPLE}rotations: [{text}]")
    return [fault.partition(" rotations.0")[2].lstrip(".") for fault in found]


def layer_told(text: str) -> list[str]:
    given = f'{{name: r, role: eoc, layers: [{{people: [ann], starts: "2026-01-05T09:00", {text}}}]}}'
    return [fault.partition("layers.0.")[2] for fault in told(given)]


class TestShapes:
    """The three common cases are short."""

    def test_one_weekly_rotation(self) -> None:
        found = rotation(f"{{name: eoc, role: eoc, zone: Europe/Berlin, layers: [{WEEKLY}]}}")
        (layer,) = found.layers
        assert [member.person for member in layer.people] == ["ann", "bob"]
        assert (layer.every, layer.starts, layer.hours, found.services) == (timedelta(weeks=1), "2026-01-05T09:00:00", [], [])

    def test_office_hours_of_another_zone_over_a_weekly_one(self) -> None:
        office = '{zone: Asia/Tokyo, people: [ann], starts: "2026-01-05T09:00", hours: [{days: mon-fri, from: 09:00, to: 17:00}]}'
        found = rotation(f"{{name: eoc, role: eoc, layers: [{WEEKLY}, {office}]}}")
        (hours,) = found.layers[1].hours
        assert (hours.days, hours.opens, hours.closes, hours.overnight) == (["mon-fri"], "09:00", "17:00", False)

    def test_a_calendar(self) -> None:
        found = rotation("{name: eoc, role: eoc, feed: {url: 'https://x.example/oncall.ics', people: {'Smith, Ann': ann}}}")
        assert found.feed is not None
        assert (found.feed.refresh, found.feed.people) == (timedelta(minutes=15), {"Smith, Ann": "ann"})
        assert "x.example" not in repr(found.feed)

    def test_one_who_comes_later(self) -> None:
        layer = "{people: [ann, {person: bob, from: 2026-06-01, until: 2026-09-01T12:00}], starts: 2026-01-05}"
        members = rotation(f"{{name: eoc, role: eoc, layers: [{layer}]}}").layers[0].people
        assert [(member.person, member.since, member.until) for member in members] == [
            ("ann", None, None), ("bob", "2026-06-01T00:00:00", "2026-09-01T12:00:00"),
        ]  # fmt: skip


class TestValues:
    """Each of its own kind."""

    @pytest.mark.parametrize(
        ("text", "days"), [("mon", "0"), ("mon-fri", "01234"), ("sat-mon", "056"), ("Sun", "6"), ("mon-sun", "0123456")]
    )
    def test_weekdays(self, text: str, days: str) -> None:
        assert "".join(map(str, sorted(days_of(text)))) == days

    @pytest.mark.parametrize(
        ("value", "minutes"), [("09:00", 540), ("9:30", 570), (1_020, 1_020), ("24:00", 1_440), ("00:00", 0), (1_440, 1_440)]
    )
    def test_times_of_the_day_with_and_without_quotes(self, value: object, minutes: int) -> None:
        assert minutes_of(value) == minutes

    @pytest.mark.parametrize("value", ["9", 9, "24:01", "25:00", "9h", None, True, 1_441, "09:60", 540.0])
    def test_what_is_no_time_of_the_day(self, value: object) -> None:
        with pytest.raises(ValueError, match='expected a time of the day like "09:00"'):
            minutes_of(value)

    @pytest.mark.parametrize(
        ("text", "written"), [("1w", "1w"), ("14d", "2w"), ("24h", "1d"), ("12h", "12h"), ("10d", "10d"), (" 26w ", "26w")]
    )
    def test_intervals(self, text: str, written: str) -> None:
        assert written_interval(parse_interval(text)) == written

    @pytest.mark.parametrize("value", ["0w", "27w", "1y", "1w2d", "30m", "", "w", 7, None])
    def test_what_is_no_interval(self, value: object) -> None:
        with pytest.raises(ValueError, match="expected an interval like 12h, 1d or 1w; at most 26w"):
            parse_interval(value)

    @pytest.mark.parametrize("value", ["soon", "2026-01-05T09:00Z", "2026-13-01", "1969-01-01", "2200-01-01", 5, None])
    def test_what_is_no_time_on_a_wall(self, value: object) -> None:
        with pytest.raises(ValueError, match="expected one like 2026-01-05T09:00, without an offset"):
            wall_moment(value)


class TestFaults:
    """Each at its place, in words."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{name: r, role: eoc}", ": nobody is in there; expected layers with people, or a feed"),
            ("{name: r, role: eoc, layers: []}", ": nobody is in there; expected layers with people, or a feed"),
            ("{name: r, role: eoc, layers: [{people: [], starts: 2026-01-05}]}", "layers.0.people: nobody is in there"),
            (f"{{name: r, role: boss, layers: [{WEEKLY}]}}", "role: Input should be 'eoc', 'imoc' or 'cmoc'"),
            (f"{{name: a b, role: eoc, layers: [{WEEKLY}]}}", "name: expected letters, digits and any of _ . -"),
            (f"{{name: r, role: eoc, zone: Europe/Berln, layers: [{WEEKLY}]}}", "zone: 'Europe/Berln' is no time zone"),
            ("{name: r, role: eoc, feed: {}}", "feed: nothing says where it is; expected one of url, url_file, file"),
            ("{name: r, role: eoc, feed: {url: 'http://x', file: y}}", "feed: url and file are given; expected one of"),
            ("{name: r, role: eoc, feed: {url: 'webcal://x/s3cr3t'}}", "feed.url: expected an address that begins with https://"),
            ("{name: r, role: eoc, feed: {url: 'http://a:s3cr3t@x'}}", "feed.url: expected an address without user or password"),
            ("{name: r, role: eoc, feed: {file: x, refresh: 1s}}", "feed.refresh: expected a duration between 1m and 1d"),
            ("{name: r, role: eoc, feed: {file: x, people: {Ann: anne}}}", "feed.people.Ann: there is no 'anne' under people"),
        ],
    )
    def test_of_a_rotation(self, text: str, expected: str) -> None:
        (fault,) = told(text)
        assert fault.startswith(expected) and "s3cr3t" not in fault

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("every: sometimes", "every: expected an interval like 12h, 1d or 1w; at most 26w"),
            ("zone: Berlin", "zone: 'Berlin' is no time zone; expected a name like 'Europe/Berlin' or 'UTC'; did you mean"),
            ("until: 2026-01-05T09:00", "until: 2026-01-05T09:00 does not lie after 2026-01-05T09:00, which starts says"),
            (
                "hours: [{from: 17:00, to: 09:00}]",
                "hours.0.to: it ends before it begins; expected a later time, or overnight: true",
            ),
            (
                "hours: [{from: 09:00, to: 09:00}]",
                "hours.0.to: it ends before it begins; expected a later time, or overnight: true",
            ),
            (
                "hours: [{from: 09:00, to: 17:00, overnight: true}]",
                "hours.0.to: it ends on the next day, more than 24 hours later",
            ),
            ("hours: [{days: mo-fr, from: 09:00, to: 17:00}]", "hours.0.days: 'mo-fr' is no weekday; expected any of mon, tue"),
            ("hours: [{days: [], from: 09:00, to: 17:00}]", "hours.0.days: List should have at least 1 item"),
            ("hours: [{from: nine, to: 17:00}]", 'hours.0.from: expected a time of the day like "09:00"'),
        ],
    )
    def test_of_a_layer(self, text: str, expected: str) -> None:
        (fault,) = layer_told(text)
        assert fault.startswith(expected)

    def test_of_people_in_layers(self) -> None:
        layer = "{people: [anne, {person: bobb, from: 2026-02-01, until: 2026-01-01}], starts: 2026-01-05}"
        assert told(f"{{name: r, role: eoc, layers: [{layer}]}}") == [
            "layers.0.people.0: there is no 'anne' under people; did you mean 'ann'?",
            "layers.0.people.1.person: there is no 'bobb' under people; did you mean 'bob'?",
            "layers.0.people.1.until: 2026-01-01T00:00 does not lie after 2026-02-01T00:00, which from says; expected a later "
            "time",
        ]

    def test_nobody_is_unknown_while_a_part_of_the_file_cannot_be_read(self, tmp_path: Path) -> None:
        assert told(f"{{name: r, role: eoc, layers: [{WEEKLY.replace('bob', 'cid')}]}}")
        assert faults(f"include: [none.yaml]\nrotations: [{{name: r, role: eoc, layers: [{WEEKLY}]}}]")  # ann is nowhere

    def test_names_are_given_once(self) -> None:
        one = f"{{name: r, role: eoc, layers: [{WEEKLY.replace('{', '{name: x, ')}, {WEEKLY.replace('{', '{name: x, ')}]}}"
        assert told(one) == ["layers.1.name: two layers have the name 'x'; expected each once"]
        two = f"{PEOPLE}rotations: [{{name: r, role: eoc, layers: [{WEEKLY}]}}, {{name: r, role: imoc, layers: [{WEEKLY}]}}]"
        assert faults(two)[0].endswith("rotations.1.name: two entries for the rotation 'r'; expected each once")

    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            ("", "", "rotations.1.role: 'a' and 'b' are both for the role eoc and all other services; expected one rotation"),
            (
                "db, web",
                "x, web",
                "rotations.1.services.1: 'a' and 'b' are both for the role eoc and the service 'web'; expected one rotation",
            ),
            ("db", "", None),
            ("db", "web", None),
        ],
    )
    def test_two_rotations_are_not_for_the_same(self, one: str, other: str, expected: str | None) -> None:
        text = PEOPLE + "rotations:\n"
        for name, services in (("a", one), ("b", other)):
            text += f"  - {{name: {name}, role: eoc, services: [{services}], layers: [{WEEKLY}]}}\n"
        if expected is None:
            parse(text.encode(), "f", Config)
        else:
            (fault,) = faults(text)
            assert fault.endswith(expected)

    @pytest.mark.parametrize("host", ["http://x", "x/y", "ann@x", "[::1]", "a b"])
    def test_a_host_is_given_alone(self, host: str) -> None:
        (fault,) = faults(f"feeds: {{allow: ['{host}']}}")
        assert "feeds.allow.0" in fault and "expected a name or an address alone" in fault

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("zone: Europe/Berln", "people.0.zone: 'Europe/Berln' is no time zone"),
            ("phone: 0301234567", "people.0.phone: "),
            ("phone: '030 1234567'", "people.0.phone: expected a number in international form, in quotes, like '+49 30 1234567'"),
            ("gitlab: 'a b'", "people.0.gitlab: "),
        ],
    )
    def test_of_people(self, text: str, expected: str) -> None:
        (fault,) = faults(f"people: [{{id: ann, name: Ann, {text}}}]")
        assert expected in fault


def test_somebody_whom_nobody_can_reach_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text(
        "people:\n- {id: ann, name: Ann, gitlab: ann}\n"
        + "".join(f"- {{id: {key}, name: X, {key}: {value}}}\n" for key, value in REACHABLE.items())
    )
    assert [str(each).partition("tocsin.yaml:")[2] for each in ConfigFile.open(file).warnings] == [
        "2:3: warning: people.0: nobody can reach ann; expected any of slack, email, phone and pager"
    ]


REACHABLE: dict[str, Any] = {"slack": "U1", "email": "x@y.z", "phone": "'+49 30 1234567'", "pager": "P1"}


def test_rotations_do_not_change_how_alerts_are_decided() -> None:
    text = f"{PEOPLE}rotations: [{{name: r, role: eoc, layers: [{WEEKLY}]}}]"
    assert parse(text.encode(), "f", Config).model_dump(exclude={"people", "rotations"}) == Config().model_dump(
        exclude={"people", "rotations"}
    )
