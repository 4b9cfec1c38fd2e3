"""Label matchers in the syntax of Alertmanager: read, asked, written.

A text is read as Alertmanager 0.34 reads it by default (`reading`); expressions are RE2 (`expression`).
"""

from services.matching.errors import BadExpression, MatcherError
from services.matching.matcher import Matcher, Op
from services.matching.reading import parse_matchers, parse_matchers_warned
from services.matching.selector import Selector, selector

__all__ = [
    "BadExpression",
    "Matcher",
    "MatcherError",
    "Op",
    "Selector",
    "parse_matchers",
    "parse_matchers_warned",
    "selector",
]
