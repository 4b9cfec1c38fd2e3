"""What has matchers, and how they are read: the one place here that knows `services.matching`."""

from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from services.config.values import Name
from services.matching import MatcherError, Selector, parse_matchers, parse_matchers_warned, selector
from services.runtime.yamlfile import Section

_MATCHER = {
    "type": "string",
    "pattern": r"=|!~|^\s*\{[\s,]*\}\s*$",
    "description": "A matcher in Alertmanager's syntax.",
    "examples": ['service="web"', 'env!="dev"', 'alertname=~"Node.*"', 'team!~"lab|test"'],
}
_MATCHERS = {
    "anyOf": [_MATCHER, {"type": "array", "items": _MATCHER, "maxItems": 50}],
    "description": "Matchers in Alertmanager's syntax, which must all hold. One alone needs no list.",
}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _readable(text: str) -> str:
    if not text.strip():
        raise ValueError('expected a matcher like service="web"')
    try:
        parse_matchers(text)
    except MatcherError as error:
        raise ValueError(f"character {error.offset + 1}: {error}") from None
    return text


def doubt(text: str) -> str | None:
    """A sentence about a matcher that Alertmanager reads, and that one should write in another way."""
    return parse_matchers_warned(text)[1]


Matcher = Annotated[str, Field(max_length=4_000), AfterValidator(_readable), WithJsonSchema(_MATCHER)]
Match = Annotated[list[Matcher], Field(max_length=50), BeforeValidator(_listed), WithJsonSchema(_MATCHERS)]


class Matched(Section):
    """Something with a name that is for some alerts: those for which all its matchers hold, without any for all."""

    name: Name
    """How decisions, timelines and lists call it; each name once."""
    match: Match = Field(default_factory=list)
    """Which alerts it is for; all of them without any matcher."""

    @cached_property
    def selector(self) -> Selector:
        return selector(self.match)
