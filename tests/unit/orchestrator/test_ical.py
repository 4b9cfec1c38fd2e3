"""Calendars from a server that is slow, huge, broken, or leads elsewhere; and what stands in them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.adapters.ical import LARGEST, Place, expand, fetch
from services.orchestrator.domain.duty.calendars import Entry, Fetched, NoFeed, Unchanged
from tests.support.calendars import CalendarServer, an_event, calendar
from tests.support.duty import BERLIN, DAY, at
from tests.support.processes import free_port

ANN = calendar(an_event("Ann", ":20261123T090000Z", ":20261130T090000Z"))
ALLOWED = ("127.0.0.1",)
SECRET = "s3cr3t-path"


@pytest.fixture
async def server() -> AsyncIterator[CalendarServer]:
    async with CalendarServer({f"/{SECRET}/oncall.ics": ANN}) as server:
        yield server


def there(server: CalendarServer, allowed: tuple[str, ...] = ALLOWED) -> Place:
    return Place(url=f"{server.url}/{SECRET}/oncall.ics?key={SECRET}", allowed=allowed)


class TestFetching:
    """From an address."""

    async def test_a_calendar_comes_as_it_is(self, server: CalendarServer) -> None:
        answer = await fetch(there(server), None)
        assert isinstance(answer, Fetched) and answer.body == ANN
        headers = server.asked[0].headers
        assert headers["Host"] == f"127.0.0.1:{server.port}"
        assert headers["Accept-Encoding"] == "identity"
        assert server.asked[0].path.endswith(f"?key={SECRET}")

    async def test_one_that_has_not_changed_does_not_come_again(self, server: CalendarServer) -> None:
        server.etags[f"/{SECRET}/oncall.ics"] = '"one"'
        first = await fetch(there(server), None)
        assert isinstance(first, Fetched)
        assert isinstance(await fetch(there(server), first.tag), Unchanged)
        server.etags[f"/{SECRET}/oncall.ics"] = '"two"'
        second = await fetch(there(server), first.tag)
        assert isinstance(second, Fetched) and second.tag != first.tag

    async def test_the_mark_of_another_address_is_not_shown(self, server: CalendarServer) -> None:
        server.etags |= {f"/{SECRET}/oncall.ics": '"one"', "/other.ics": '"one"'}
        server.says["/other.ics"] = calendar()
        first = await fetch(there(server), None)
        assert isinstance(first, Fetched)
        other = await fetch(Place(url=f"{server.url}/other.ics", allowed=ALLOWED), first.tag)
        assert isinstance(other, Fetched) and other.body == calendar()

    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("redirect", "127.0.0.1 redirects (302), which is not followed; expected the final address"),
            ("401", "127.0.0.1 does not give it (401): is the address still the right one?"),
            ("500", "127.0.0.1 answers 500"),
            ("304", "127.0.0.1 redirects"),
            ("bomb", "127.0.0.1 answers compressed, which was not asked for"),
            ("huge", f"127.0.0.1 answers with more than {LARGEST:,} bytes"),
            ("reset", "127.0.0.1 cannot be asked: RemoteProtocolError"),
            ("slow", "no answer within 0.5 s"),
            ("drip", "no answer within 0.5 s"),
        ],
    )
    async def test_whatever_else_it_answers_is_told_without_the_secret(
        self, server: CalendarServer, word: str, said: str
    ) -> None:
        server.says[f"/{SECRET}/oncall.ics"] = word
        answer = await fetch(there(server), None, patience=30 if word == "huge" else 0.5)
        assert isinstance(answer, NoFeed)
        assert answer.sentence.startswith(said)
        assert SECRET not in answer.sentence and "169.254" not in answer.sentence

    async def test_a_redirect_is_not_followed(self, server: CalendarServer) -> None:
        server.says[f"/{SECRET}/oncall.ics"] = "redirect"
        await fetch(there(server), None)
        assert len(server.asked) == 1

    async def test_nobody_there_is_told(self) -> None:
        answer = await fetch(Place(url=f"http://127.0.0.1:{free_port()}/{SECRET}", allowed=ALLOWED), None)
        assert isinstance(answer, NoFeed)
        assert answer.sentence.startswith("127.0.0.1 cannot be asked: ")
        assert SECRET not in answer.sentence

    async def test_a_host_that_does_not_exist_is_told(self) -> None:
        answer = await fetch(Place(url=f"https://no-such-host.invalid/{SECRET}"), None)
        assert isinstance(answer, NoFeed)
        assert answer.sentence.startswith("no-such-host.invalid cannot be found: ")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "webcal://x/y",
            "file:///etc/passwd",
            "http://",
            "http://x:0/",
            "http://[::1",
            "http://ann:s3cr3t-path@x/y",
            "http://x:99999/",
            "http://x/\x07",
            f"http://{'x' * 70}.example/",
            "http://xn--\u2044.example/",
        ],
    )
    async def test_what_is_no_address_is_not_asked(self, tmp_path: Path, url: str) -> None:
        (tmp_path / "url").write_text(url)
        answer = await fetch(Place(url_file=tmp_path / "url"), None)
        assert isinstance(answer, NoFeed)
        assert answer.sentence.startswith("its address ") and SECRET not in answer.sentence


class TestAddresses:
    """Only the open internet, and what the operator lists."""

    async def test_a_private_address_is_not_asked_unless_it_is_listed(self, server: CalendarServer) -> None:
        answer = await fetch(there(server, allowed=()), None)
        expected = "127.0.0.1 is a loopback address, which is not asked; list the host under feeds.allow if it is meant"
        assert answer == NoFeed(expected)
        assert server.asked == []

    async def test_a_name_that_means_a_private_address_is_not_asked(self, server: CalendarServer) -> None:
        answer = await fetch(Place(url=f"http://localhost:{server.port}/{SECRET}/oncall.ics"), None)
        assert isinstance(answer, NoFeed) and answer.sentence.startswith("localhost has a loopback address")
        assert server.asked == []

    async def test_what_was_judged_is_what_is_asked_whatever_the_name_means_by_then(self, server: CalendarServer) -> None:
        """A resolver that says a public address first and a private one afterwards: nothing asks it twice."""
        answers = [["192.0.2.1"], ["127.0.0.1"]]
        asked: list[str] = []

        async def flips(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return answers[min(len(asked), 2) - 1]

        place = Place(url=f"http://calendar.example:{server.port}/{SECRET}/oncall.ics", allowed=("calendar.example",))
        answer = await fetch(place, None, patience=0.3, resolve=flips)
        assert isinstance(answer, NoFeed)
        assert asked == ["calendar.example"]
        assert server.asked == []

    async def test_the_name_is_said_to_the_address(self, server: CalendarServer) -> None:
        async def here(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        place = Place(url=f"http://calendar.example:{server.port}/{SECRET}/oncall.ics", allowed=("calendar.example",))
        assert isinstance(await fetch(place, None, resolve=here), Fetched)
        assert server.asked[0].headers["Host"] == f"calendar.example:{server.port}"

    async def test_a_name_in_other_letters_is_asked_as_the_wire_knows_it(self, server: CalendarServer) -> None:
        asked: list[str] = []

        async def here(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"]

        name = "xn--mnchen-3ya.example"
        place = Place(url=f"http://münchen.example:{server.port}/{SECRET}/oncall.ics", allowed=(name,))
        assert isinstance(await fetch(place, None, resolve=here), Fetched)
        assert (asked, server.asked[0].headers["Host"]) == ([name], f"{name}:{server.port}")

    async def test_when_the_first_address_does_not_answer_the_next_is_asked(self, server: CalendarServer) -> None:
        async def two(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.2", "127.0.0.1"]

        place = Place(url=f"http://calendar.example:{server.port}/{SECRET}/oncall.ics", allowed=("calendar.example",))
        assert isinstance(await fetch(place, None, resolve=two), Fetched)


class TestFiles:
    """On this machine."""

    async def test_the_address_may_stand_in_a_file(self, server: CalendarServer, tmp_path: Path) -> None:
        (tmp_path / "url").write_text(f"{there(server).url}\n# a remark\n")
        assert isinstance(await fetch(Place(url_file=tmp_path / "url", allowed=ALLOWED), None), Fetched)

    async def test_a_calendar_may_be_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "oncall.ics"
        path.write_bytes(ANN)
        first = await fetch(Place(file=path), None)
        assert isinstance(first, Fetched) and first.body == ANN
        assert isinstance(await fetch(Place(file=path), first.tag), Unchanged)
        path.write_bytes(calendar())
        assert isinstance(await fetch(Place(file=path), first.tag), Fetched)

    async def test_a_file_that_cannot_be_read_or_is_too_large_is_told(self, tmp_path: Path) -> None:
        none = await fetch(Place(file=tmp_path / "none"), None)
        assert none == NoFeed(f"{tmp_path}/none cannot be read: No such file or directory")
        (tmp_path / "large").write_bytes(b" " * (LARGEST + 1))
        large = await fetch(Place(file=tmp_path / "large"), None)
        assert large == NoFeed(f"{tmp_path}/large has more than {LARGEST:,} bytes")
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        assert isinstance(await fetch(Place(url_file=tmp_path / "binary"), None), NoFeed)


HOURLY = (":20261019T000000Z", ":20261019T000100Z", "RRULE:FREQ=HOURLY")
TOO_MANY = calendar(*(an_event("x", *HOURLY, uid=str(number)) for number in range(8)))
START, END = at("2026-10-19T00:00"), at("2026-11-16T00:00")


async def entries(*events: str, zone: ZoneInfo = BERLIN) -> list[Entry]:
    found = await expand(zone, calendar(*events), START, END)
    assert not isinstance(found, NoFeed), found
    return sorted(found, key=lambda entry: entry.start)


class TestExpanding:
    """What stands in a calendar."""

    async def test_an_event_comes_again_at_its_time_on_the_wall(self) -> None:
        """The week after the clocks were put back begins at 08:00 in UTC, not at 07:00."""
        event = an_event(
            "Ann", ";TZID=Europe/Berlin:20260105T090000", ";TZID=Europe/Berlin:20260112T090000", "RRULE:FREQ=WEEKLY;INTERVAL=2"
        )
        found = await entries(event)
        assert [(entry.start, entry.end) for entry in found] == [
            (at("2026-10-12T09:00"), at("2026-10-19T09:00")),
            (at("2026-10-26T09:00"), at("2026-11-02T09:00")),
            (at("2026-11-09T09:00"), at("2026-11-16T09:00")),
        ]
        assert found[1].start == datetime(2026, 10, 26, 8, tzinfo=UTC)

    async def test_dates_and_times_without_a_zone_are_by_the_clocks_of_the_rotation(self) -> None:
        dates = an_event("Ann", ";VALUE=DATE:20261024", ";VALUE=DATE:20261026")
        floating = an_event("Bob", ":20261026T090000", ":20261026T170000", uid="2")
        found = await entries(dates, floating)
        assert [(entry.start, entry.end) for entry in found] == [
            (at("2026-10-24T00:00"), at("2026-10-26T00:00")),
            (at("2026-10-26T09:00"), at("2026-10-26T17:00")),
        ]

    async def test_changed_and_left_out_events_are_as_they_were_changed(self) -> None:
        weekly = an_event("Ann", ":20261019T080000Z", ":20261019T160000Z", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20261020T080000Z")
        changed = an_event("Bob", ":20261021T090000Z", ":20261021T160000Z", "RECURRENCE-ID:20261021T080000Z")
        found = await entries(weekly, changed)
        assert [(entry.summary, entry.start.day, entry.start.hour) for entry in found] == [
            ("Ann", 19, 8), ("Bob", 21, 9), ("Ann", 22, 8),
        ]  # fmt: skip

    async def test_who_takes_part_is_told_without_those_who_declined(self) -> None:
        people = ("ATTENDEE;CN=Ann:MAILTO:Ann@Example.com", "ATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.com")
        (entry,) = await entries(an_event("On call", ":20261026T090000Z", ":20261027T090000Z", *people))
        assert entry.mails == ("ann@example.com",)

    async def test_a_cancelled_event_is_none(self) -> None:
        assert await entries(an_event("Ann", ":20261026T090000Z", ":20261027T090000Z", "STATUS:CANCELLED")) == []

    async def test_what_lies_outside_is_left_out(self) -> None:
        event = an_event("Ann", ":20260101T090000Z", ":20260102T090000Z", "RRULE:FREQ=DAILY;UNTIL=20261017T090000Z")
        assert await entries(event) == []

    async def test_a_zone_of_the_calendars_own_is_understood(self) -> None:
        zone = ["BEGIN:VTIMEZONE", "TZID:Mine", "BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0300",
                "TZOFFSETTO:+0300", "END:STANDARD", "END:VTIMEZONE"]  # fmt: skip
        (entry,) = await entries("\r\n".join(zone), an_event("Ann", ";TZID=Mine:20261026T090000", ";TZID=Mine:20261026T100000"))
        assert entry.start == datetime(2026, 10, 26, 6, tzinfo=UTC)

    async def test_an_export_of_another_program_with_a_zone_for_all_is_understood(self) -> None:
        (entry,) = await entries("X-WR-TIMEZONE:America/New_York", an_event("Ann", ":20261026T130000Z", ":20261026T210000Z"))
        assert entry.start == datetime(2026, 10, 26, 13, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"<html>Welcome</html>", "it is no calendar: it does not begin with BEGIN:VCALENDAR"),
            (b"", "it is no calendar: it does not begin with BEGIN:VCALENDAR"),
            (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "it is no calendar that can be read: "),
            (calendar("BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT"), "it cannot be read: KeyError: 'DTSTART'"),
            (calendar(an_event("x", ":never", ":ever")), "it cannot be read: "),
            (calendar(*["BEGIN:VEVENT\r\nEND:VEVENT"] * 5_001), "it has more than 5,000 events"),
            (TOO_MANY, "it has more than 5,000 events in that time"),
        ],
    )  # fmt: skip
    async def test_a_broken_one_is_told_in_words(self, body: bytes, said: str) -> None:
        found = await expand(BERLIN, body, START, END)
        assert isinstance(found, NoFeed)
        assert found.sentence.startswith(said)
        assert len(found.sentence) <= 200

    @pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=SECONDLY;BYMONTH=13"])
    async def test_one_that_would_take_for_ever_is_given_up(self, rule: str) -> None:
        event = an_event("x", ":19700101T000000Z", ":19700101T000001Z", f"RRULE:{rule}")
        found = await expand(BERLIN, calendar(event), START, END, seconds=1)
        assert isinstance(found, NoFeed), found

    async def test_whoever_is_cancelled_leaves_no_process_behind(self) -> None:
        event = an_event("x", ":19700101T000000Z", ":19700101T000001Z", "RRULE:FREQ=SECONDLY")
        begun = asyncio.create_task(expand(BERLIN, calendar(event), START, END, seconds=60))
        await asyncio.sleep(0)
        begun.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(begun, return_exceptions=True)
        assert begun.cancelled()


async def test_a_year_of_daily_shifts_is_worked_out_at_once() -> None:
    event = an_event("Ann", ";TZID=Europe/Berlin:20160105T090000", ";TZID=Europe/Berlin:20160105T170000", "RRULE:FREQ=DAILY")
    found = await expand(BERLIN, calendar(event), START, START + 366 * DAY)
    assert not isinstance(found, NoFeed)
    assert len(found) == 366
    assert {(entry.end - entry.start) for entry in found} == {timedelta(hours=8)}
