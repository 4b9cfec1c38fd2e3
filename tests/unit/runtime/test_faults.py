"""What was found wrong, in words that help."""

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import Field

from services.runtime.errors import ConfigError
from services.runtime.faults import did_you_mean, dotted
from services.runtime.yamlfile import Section, parse


class Colour(StrEnum):
    """An enum."""

    RED = "Red"
    GREEN = "Green"


class Door(Section):
    """A section in lists, mappings and unions."""

    colour: Colour = Colour.RED
    width: int = Field(default=1, alias="for")
    side: Literal["left", "right"] = "left"


class House(Section):
    """A file."""

    front: Door | None = None
    doors: list[Door] = Field(default_factory=list)
    named: dict[str, Door] = Field(default_factory=dict)
    words: list[Literal["one", "two"]] | None = None


def fault(text: str) -> str:
    """The only one, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "f", House)
    (found,) = caught.value.faults
    return found.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("front: {color: Red}", "front.color: unknown key; did you mean 'colour'?"),
        ("doors: [{color: Red}]", "doors.0.color: unknown key; did you mean 'colour'?"),
        ("named: {x: {color: Red}}", "named.x.color: unknown key; did you mean 'colour'?"),
        ("front: {width: 1}", "front.width: unknown key; expected one of colour, for, side"),
        ("doors: [{wood: 1}]", "doors.0.wood: unknown key; expected one of colour, for, side"),
        ("colour: Red", "colour: unknown key; did you mean 'front.colour' or 'doors[].colour' or 'named.colour'?"),
        ("front: {words: []}", "front.words: unknown key; did you mean 'words'?"),
        ("front: {colour: red}", "front.colour: Input should be 'Red' or 'Green'; did you mean 'Red'?"),
        ("front: {colour: grene}", "front.colour: Input should be 'Red' or 'Green'; did you mean 'Green'?"),
        ("front: {colour: blue}", "front.colour: Input should be 'Red' or 'Green'"),
        ("front: {side: 7}", "front.side: Input should be 'left' or 'right'"),
        ("front: {side: LEFT}", "front.side: Input should be 'left' or 'right'; did you mean 'left'?"),
        ("words: [on]", "words.0: Input should be 'one' or 'two'"),
        ("words: ['on']", "words.0: Input should be 'one' or 'two'; did you mean 'one'?"),
        ("front: 7", "front: Input should be a valid dictionary"),
        ("doors: {}", "doors: Input should be a valid list"),
        ("front: {for: x}", "front.for: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_what_was_expected_and_the_nearest_word(text: str, message: str) -> None:
    assert fault(text) == message


@pytest.mark.parametrize(
    ("word", "words", "hint"),
    [
        ("wbe", ["web", "db"], "; did you mean 'web'?"),
        ("WEB", ["Web"], "; did you mean 'Web'?"),
        ("zebra", ["web", "db"], ""),
        ("web", [], ""),
        (None, ["web"], ""),
        ("x" * 100_000, ["x" * 100], "; did you mean '" + "x" * 100 + "'?"),
    ],
)
def test_only_what_is_near_is_suggested(word: object, words: list[str], hint: str) -> None:
    assert did_you_mean(word, words) == hint


def test_a_path_is_written_with_dots() -> None:
    assert (dotted(("rules", 0, "match")), dotted(())) == ("rules.0.match", "the file")
    assert dotted(("a\nb", "c\x1b[31m")) == r"'a\nb'.'c\x1b[31m'"
