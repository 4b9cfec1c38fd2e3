"""Durations are read and written as Prometheus does it."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from services.runtime.durations import Duration, between, format_duration, parse_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1, "1s"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"), (86_400, "1d"), (90_061, "1d1h1m1s"), (0.4, "0s")],
)
def test_the_shortest_way_of_writing(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["59s", "1m", "7d"])
def test_what_lies_outside_the_bounds(text: str) -> None:
    check = between("1m", "1h").func
    value = parse_duration(text)
    if text == "1m":
        assert check(value) == value  # type: ignore[call-arg]
    else:
        with pytest.raises(ValueError, match="expected a duration between 1m and 1h"):
            check(value)  # type: ignore[call-arg]


def test_in_json_it_is_as_it_was_written_and_in_python_a_timedelta() -> None:
    adapter = TypeAdapter[timedelta](Duration)
    value = adapter.validate_python("1h30m")
    assert adapter.dump_json(value) == b'"1h30m"'
    assert adapter.dump_python(value) == timedelta(minutes=90)
    with pytest.raises(ValidationError, match="expected a duration like 30s"):
        adapter.validate_python(5)
