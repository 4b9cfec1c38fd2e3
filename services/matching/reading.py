"""How a text becomes matchers: by two parsers, as Alertmanager does it by default (`matcher/compat`).

Both parsers read every text. Where only one accepts it, that one counts. Where they disagree the classic one counts, so that
no old file changes its meaning; Alertmanager writes that to its log, here it is the warning.
"""

from collections.abc import Callable

from services.matching.classic import parse_classic
from services.matching.errors import BadExpression, MatcherError, refuse_broken
from services.matching.grammar import parse_utf8
from services.matching.matcher import Matcher, written

Matchers = tuple[Matcher, ...]


def parse_matchers(text: str) -> Matchers:
    """The matchers of a text like `{foo="bar", baz=~"x.*"}`, with or without braces. Raises `MatcherError`."""
    return parse_matchers_warned(text)[0]


def parse_matchers_warned(text: str) -> tuple[Matchers, str | None]:
    """As `parse_matchers`, with a sentence about a text that one should write in another way."""
    refuse_broken(text)
    modern, classic = _attempt(parse_utf8, text), _attempt(parse_classic, text)
    if isinstance(classic, MatcherError):
        if isinstance(modern, MatcherError):
            raise classic if isinstance(classic, BadExpression) else modern
        return modern, None
    return classic, _warning(modern, classic)


def _attempt(parse: Callable[[str], Matchers], text: str) -> Matchers | MatcherError:
    try:
        return parse(text)
    except MatcherError as error:
        return error


def _warning(modern: Matchers | MatcherError, classic: Matchers) -> str | None:
    if modern == classic:
        return None
    if isinstance(modern, MatcherError):
        reason = f"{modern} (column {modern.offset + 1})"
        return f"only Alertmanager's classic parser reads this, because {reason}; write {written(classic)}"
    both = f"as {written(classic)} and as {written(modern)}"
    return f"Alertmanager's two parsers read this differently, {both}; the first counts, write the one that is meant"
