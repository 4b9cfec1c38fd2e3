"""Whom the words of a calendar mean, and who has the time."""

from datetime import timedelta

from services.orchestrator.domain.duty.calendars import MOST_NAMES, Clash, Entry, Whom, calendar_of
from tests.support.duty import DAY, HOUR, PEOPLE, a_calendar, at

TEN = at("2026-11-23T10:00")


def meant(summary: str = "", *mails: str, whom: Whom = PEOPLE) -> str | None:
    return whom.meant(Entry(TEN, TEN + HOUR, "1", summary, mails))


class TestWhom:
    """Nobody is guessed."""

    def test_who_takes_part_is_meant_by_their_address_in_any_case(self) -> None:
        assert meant("On call", "ANN@example.com") == "ann"

    def test_of_several_who_take_part_the_title_decides(self) -> None:
        assert meant("bob jones", "ann@example.com", "bob@example.com") == "bob"
        assert meant("On call", "ann@example.com", "bob@example.com") is None

    def test_a_list_that_is_nobodys_address_does_not_matter(self) -> None:
        assert meant("On call", "team@example.com", "ann@example.com") == "ann"

    def test_the_title_may_be_a_name_an_id_or_an_address(self) -> None:
        assert [meant(title) for title in ("Ann  Smith", "ann", "ann@example.com")] == ["ann"] * 3

    def test_a_part_of_a_title_is_no_name(self) -> None:
        assert meant("Ann Smith is on call") is None
        assert meant("Bob for Ann Smith") is None
        assert meant("") is None

    def test_the_configuration_says_whom_other_words_mean(self) -> None:
        whom = Whom.of({"On Call - Smith, Ann": "ann", "pager7@example.com": "bob"}, [])
        assert meant("on call - smith, ann", whom=whom) == "ann"
        assert meant("x", "pager7@example.com", whom=whom) == "bob"

    def test_the_configuration_has_the_last_word(self) -> None:
        whom = Whom.of({"ann@example.com": "bob"}, [("ann", "Ann", "ann@example.com")])
        assert meant("x", "ann@example.com", whom=whom) == "bob"

    def test_what_two_people_have_in_common_means_neither(self) -> None:
        whom = Whom.of({}, [("ann", "Sam", "oncall@example.com"), ("bob", "Sam", "oncall@example.com")])
        assert meant("Sam", "oncall@example.com", whom=whom) is None
        assert meant("ann", whom=whom) == "ann"


class TestCalendar:
    """One at a time, and what does not fit is told."""

    def test_unknown_names_are_told_once_and_not_all_of_very_many(self) -> None:
        times = [(f"2026-11-{day:02}T00:00", f"2026-11-{day:02}T12:00") for day in range(1, 31)]
        assert a_calendar(*((*time, "Zoe\x1b[31m") for time in times)).unknown == ("Zoe [31m",)
        assert len(a_calendar(*((*time, f"name {time[0]}") for time in times)).unknown) == MOST_NAMES

    def test_an_entry_without_a_title_is_told_by_its_addresses_or_its_uid(self) -> None:
        nameless = [Entry(TEN, TEN + HOUR, "7", "", ("x@y.z",)), Entry(TEN + HOUR, TEN + 2 * HOUR, "8", "")]
        assert calendar_of(nameless, PEOPLE).unknown == ("x@y.z", "8")

    def test_an_entry_of_a_stranger_leaves_a_hole_in_what_is_below_it(self) -> None:
        calendar = a_calendar(("2026-11-23T00:00", "2026-11-24T00:00", "ann"), ("2026-11-23T08:00", "2026-11-23T10:00", "Zoe"))
        assert [(span.start, span.end) for span in calendar.known.known] == [
            (at("2026-11-23T00:00"), at("2026-11-23T08:00")),
            (at("2026-11-23T10:00"), at("2026-11-24T00:00")),
        ]

    def test_an_entry_without_any_time_does_not_matter(self) -> None:
        calendar = a_calendar(("2026-11-23T08:00", "2026-11-23T08:00", "ann"), ("2026-11-23T08:00", "2026-11-23T09:00", "bob"))
        assert [span.person for span in calendar.known.known] == ["bob"]
        assert calendar.clashes == ()

    def test_two_people_at_once_clash_the_same_one_does_not(self) -> None:
        both = a_calendar(
            ("2026-11-23T00:00", "2026-11-30T00:00", "ann"),
            ("2026-11-24T00:00", "2026-11-25T00:00", "ann"),
            ("2026-11-26T00:00", "2026-11-27T00:00", "bob"),
            ("2026-11-30T00:00", "2026-12-01T00:00", "bob"),
        )
        assert both.clashes == (Clash(at("2026-11-26T00:00"), at("2026-11-27T00:00"), ("ann", "bob")),)

    def test_thousands_that_all_overlap_are_no_work(self) -> None:
        names = ["ann", "bob"] * 2_500
        found = [Entry(TEN + timedelta(minutes=number), TEN + 365 * DAY, str(number), name) for number, name in enumerate(names)]
        calendar = calendar_of(found, PEOPLE)
        assert len(calendar.known.known) == 5_000
        assert len(calendar.clashes) == 100
