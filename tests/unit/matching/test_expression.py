"""Expressions meet whatever an alert brings."""

import tracemalloc

import pytest

from services.matching import BadExpression, Matcher, Op


def matches(pattern: str, value: str) -> bool:
    return Matcher("x", Op.MATCH, pattern).matches({"x": value})


@pytest.mark.parametrize("value", ["a\ud800", "a\udfff", "\udc00b"])
def test_half_a_surrogate_pair_is_one_unknown_character(value: str) -> None:
    assert matches("..", value)
    assert matches("a\ufffd|\ufffdb", value)
    assert not matches(".", value)


def test_character_outside_the_basic_plane_is_one_character() -> None:
    assert matches(".", "\U0001f600")


def test_value_may_hold_a_null_character() -> None:
    assert matches("a.b", "a\0b")
    assert not matches("a", "a\0b")


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(a*)*", "(.*a){30}"])
def test_no_value_makes_an_expression_take_long(pattern: str) -> None:
    assert not matches(pattern, "a" * 4096 + "b")


def test_long_values_are_not_kept() -> None:
    matcher = Matcher("x", Op.MATCH, ".*y")
    matcher.matches({"x": "x"})
    tracemalloc.start()
    try:
        for number in range(4000):
            assert not matcher.matches({"x": f"{number:04}" + "x" * 4092})
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1 << 20


@pytest.mark.parametrize("pattern", ["a)|(b", r"\p{Letter}"])
def test_what_re2_refuses_is_refused_though_alertmanager_reads_it(pattern: str) -> None:
    with pytest.raises(BadExpression):
        Matcher("x", Op.MATCH, pattern)


def test_expression_that_takes_too_much_memory_is_refused() -> None:
    with pytest.raises(BadExpression, match="too large"):
        Matcher("x", Op.MATCH, r"\pL{1000}")


def test_list_of_two_thousand_hosts_is_not_too_much() -> None:
    hosts = [f"{number * 7919 % 100_003:06}.web.eu-west-1.example.com" for number in range(2000)]

    assert matches("|".join(hosts), hosts[-1])


def test_re2_does_not_write_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadExpression):
        Matcher("x", Op.MATCH, "[never seen before")
    assert capfd.readouterr() == ("", "")
