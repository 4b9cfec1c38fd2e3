"""Numbers and spans of time are said as people say them."""

from datetime import timedelta

import pytest

from services.orchestrator.domain import spoken


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (90, "90 seconds"), (300, "5 minutes"),
        (3_600, "1 hour"), (5_400, "90 minutes"), (7_300, "2 hours"), (86_400, "1 day"), (250_000, "2 days"), (-5, "0 seconds"),
    ],
)  # fmt: skip
def test_a_span_has_one_unit(seconds: float, said: str) -> None:
    assert spoken.span(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0344, "0.0344"), (0.03446, "0.0345"), (12_345.6, "12,346"), (0.0, "0"), (-2.5, "-2.5"), (1e20, "1e+20")],
)
def test_a_number_is_short(value: float, said: str) -> None:
    assert spoken.number(value) == said


def test_a_number_never_looks_like_another_one_beside_it() -> None:
    assert spoken.number(0.010001, 0.01) == "0.010001"
    assert spoken.number(12_345.4, 12_345) == "12345.4"
    assert spoken.number(0.01, 0.01) == "0.01"


def test_one_is_not_many() -> None:
    assert [spoken.count(1, "alert"), spoken.count(1_200, "alert"), spoken.count(2, "query", "queries")] == [
        "1 alert", "1,200 alerts", "2 queries",
    ]  # fmt: skip
