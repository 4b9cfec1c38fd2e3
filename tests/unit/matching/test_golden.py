"""Texts and expressions are read as Alertmanager reads them.

The tables in tests/golden/matchers were written by Alertmanager 0.34.2 built with Go 1.26 (`matcher/parse`, `pkg/labels`, and
`matcher/compat` in its default mode): what each of its parsers makes of a text, which of them counts, and whether that is logged.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.matching import Matcher, MatcherError, Op, parse_matchers_warned
from services.matching.classic import parse_classic
from services.matching.grammar import parse_utf8

GOLDEN = Path(__file__).parents[2] / "golden" / "matchers"
TEXTS: list[dict[str, Any]] = json.loads((GOLDEN / "texts.json").read_text())
EXPRESSIONS: dict[str, Any] = json.loads((GOLDEN / "expressions.json").read_text())

Read = list[list[str]]


def read(parse: Callable[[str], tuple[Matcher, ...]], text: str) -> Read | None:
    """As the table has it; None where the text is refused."""
    try:
        return [[each.name, each.op, each.value] for each in parse(text)]
    except MatcherError as error:
        assert 0 <= error.offset <= len(text)
        return None


def warned(text: str) -> str:
    """Which of Alertmanager's two warnings ours is."""
    try:
        warning = parse_matchers_warned(text)[1]
    except MatcherError:
        return ""
    if warning is None:
        return ""
    return "fallback" if warning.startswith("only Alertmanager's classic parser reads this") else "disagreement"


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: ascii(row["text"])[1:-1])
def test_text_is_read_as_by_alertmanager(row: dict[str, Any]) -> None:
    """One thing is not copied: Alertmanager also logs that two ways of reading nothing differ."""
    text = row["text"]
    nothing = row["utf8"] == row["classic"] == []

    assert read(parse_utf8, text) == row["utf8"]
    assert read(parse_classic, text) == row["classic"]
    assert read(lambda each: parse_matchers_warned(each)[0], text) == row["counts"]
    assert warned(text) == ("" if nothing else row["warned"])


@pytest.mark.parametrize("row", EXPRESSIONS["expressions"], ids=lambda row: ascii(row["expression"])[1:-1])
def test_expression_matches_what_it_matches_in_alertmanager(row: dict[str, Any]) -> None:
    try:
        matcher = Matcher("x", Op.MATCH, row["expression"])
    except MatcherError:
        assert row["matches"] is None
        return
    assert row["matches"] == [value for value in EXPRESSIONS["values"] if matcher.matches({"x": value})]


def test_tables_hold_every_kind_of_text() -> None:
    kinds = Counter((row["utf8"] is not None, row["classic"] is not None, row["warned"]) for row in TEXTS)
    assert min(kinds.values()) >= 50
    assert set(kinds) == {
        (True, True, ""),
        (True, True, "disagreement"),
        (True, False, ""),
        (False, True, "fallback"),
        (False, False, ""),
    }
    assert {row["matches"] is None for row in EXPRESSIONS["expressions"]} == {True, False}
