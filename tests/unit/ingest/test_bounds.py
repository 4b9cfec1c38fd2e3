"""What is refused, what is cut, and when a resolved alert has ended."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.alerts import MAX_ANNOTATION
from schemas.vocabulary import AlertStatus
from services.ingest.domain.bounds import (
    DROPPED,
    MAX_ANNOTATIONS,
    MAX_LINK,
    Unfit,
    bounded_annotations,
    check_labels,
    cut,
    ended,
    link,
    started,
)

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
START = NOW - timedelta(hours=1)
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)
FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


@pytest.mark.parametrize(
    "labels",
    [
        {"alertname": "x"},
        {f"l{n}": "v" for n in range(64)},
        {"n" * 1024: "v"},
        {"n": "v" * 4096},
        {"n": "é" * 2048},
        {"größe mit leerzeichen": "UTF-8 names are allowed"},
        {"n": ""},
    ],
)
def test_labels_within_bounds_pass(labels: dict[str, str]) -> None:
    check_labels(labels)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({}, "0 labels"),
        ({f"l{n}": "v" for n in range(65)}, "65 labels"),
        ({"n" * 1025: "v"}, "1,025 bytes"),
        ({"n": "v" * 4097}, "4,097 bytes"),
        ({"n": "é" * 2049}, "4,098 bytes"),
        ({"a\0b": "v"}, "the name of label 'a\\x00b' contains a NUL"),
        ({"n": "a\0"}, "the value of label 'n' contains a NUL"),
    ],
)
def test_labels_out_of_bounds_are_named(labels: dict[str, str], says: str) -> None:
    with pytest.raises(Unfit, match=says.replace("\\", "\\\\")) as caught:
        check_labels(labels)

    assert caught.value.fault.pointer == "/labels"
    assert caught.value.fault.expected


def test_long_annotation_is_cut_with_a_mark_that_tells_how_much_is_missing() -> None:
    text = cut("é" * 20_000, MAX_ANNOTATION)

    kept, mark = text.split("… ")
    assert len(text.encode()) <= MAX_ANNOTATION
    assert set(kept) == {"é"}
    assert mark == f"[cut by Tocsin: {40_000 - len(kept.encode()):,} of 40,000 bytes]"


@pytest.mark.parametrize("text", ["", "x" * MAX_ANNOTATION, "é" * (MAX_ANNOTATION // 2)])
def test_annotation_within_bounds_is_untouched(text: str) -> None:
    assert cut(text, MAX_ANNOTATION) == text


def test_nul_becomes_visible() -> None:
    assert bounded_annotations({"a\0": "b\0c"}) == {"a\ufffd": "b\ufffdc"}


def test_annotations_too_many_are_dropped_and_counted() -> None:
    bounded = bounded_annotations({f"a{n}": "v" for n in range(100)})

    assert len(bounded) == MAX_ANNOTATIONS
    assert bounded[DROPPED] == "… [dropped by Tocsin: 37 of 100 annotations]"


def test_annotation_with_too_long_a_name_is_dropped_and_counted() -> None:
    bounded = bounded_annotations({"n" * 1025: "v", "title": "Errors"})

    assert bounded == {"title": "Errors", DROPPED: "… [dropped by Tocsin: 1 of 2 annotations]"}


def test_a_link_is_whole_or_absent() -> None:
    assert link("http://x/" + "y" * (MAX_LINK - 9)) != ""
    assert link("http://x/" + "y" * MAX_LINK) == ""


@pytest.mark.parametrize("given", [datetime(1970, 1, 1, tzinfo=UTC), START, NOW + timedelta(days=1)])
def test_plausible_start_stands(given: datetime) -> None:
    assert started(given, NOW) == given


def test_start_without_a_zone_is_utc() -> None:
    assert started(START.replace(tzinfo=None), NOW) == START


@pytest.mark.parametrize(
    "given",
    [
        YEAR_1,
        YEAR_1.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        NOW + timedelta(days=1, seconds=1),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14))),
    ],
)
def test_implausible_start_is_refused(given: datetime) -> None:
    with pytest.raises(Unfit) as caught:
        started(given, NOW)

    assert caught.value.fault.pointer == "/startsAt"


@pytest.mark.parametrize("given", [None, YEAR_1, START - timedelta(1), NOW, NOW + timedelta(hours=1)])
def test_a_firing_alert_has_no_end(given: datetime | None) -> None:
    assert ended(FIRING, START, given, NOW) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NOW - timedelta(minutes=5), NOW - timedelta(minutes=5)),
        (START, START),
        (NOW, NOW),
        (None, NOW),
        (YEAR_1, NOW),
        (START - timedelta(seconds=1), NOW),
        (NOW + timedelta(seconds=1), NOW),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))), NOW),
    ],
)
def test_a_resolved_alert_always_ends_and_never_in_the_future(given: datetime | None, expected: datetime) -> None:
    assert ended(RESOLVED, START, given, NOW) == expected


def test_a_resolved_alert_that_starts_in_the_future_ends_at_its_start() -> None:
    later = NOW + timedelta(hours=1)

    assert ended(RESOLVED, later, NOW, NOW) == later
