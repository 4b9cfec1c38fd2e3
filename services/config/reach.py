"""Which alerts a rule can be for at all: whether an earlier one leaves it any, and whether another one always outdoes it.

All of it is careful: what it says is certainly so, what it does not say may be so.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from services.config.policy import Rule, SeverityRule
from services.matching import Matcher, Op, Selector

_PLAIN_CHOICE = re.compile(r"[A-Za-z0-9_ /:@,|-]*")


class _Matched(Protocol):
    @property
    def selector(self) -> Selector: ...


def hides(earlier: Rule, later: Rule) -> bool:
    """Whether every alert that the later rule is for is also one for the earlier rule, so that the later one never decides."""
    if earlier.severity is not None and not set(later.severity or ("S1", "S2", "S3", "S4", "unknown")) <= set(earlier.severity):
        return False
    return covers(earlier, later)


def outdoes(one: SeverityRule, other: SeverityRule) -> bool:
    """Whether `one` certainly holds whenever the other does, and is at least as severe."""
    easier = one.breadth in (None, other.breadth) and one.persists in (None, other.persists)
    return easier and not other.severity.outranks(one.severity) and covers(one, other)


class Nearby:
    """Finds the rules that may cover another one, without comparing each with each.

    A rule that wants a label to be exactly something covers only rules that name this value for it.
    """

    def __init__(self, rules: Sequence[_Matched]) -> None:
        self._by_value: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []
        for index, rule in enumerate(rules):
            exact = next(iter(rule.selector.literals.items()), None)
            (self._others if exact is None else self._by_value.setdefault(exact, [])).append(index)

    def of(self, rule: _Matched) -> list[int]:
        """The numbers of those rules, from the first one on."""
        found = set(self._others)
        for matcher in rule.selector.matchers:
            for value in _choice(matcher, Op.EQUAL, Op.MATCH) or ():
                found.update(self._by_value.get((matcher.name, value), ()))
        return sorted(found)


def covers(wide: _Matched, narrow: _Matched) -> bool:
    """Whether every alert that matches `narrow` certainly matches `wide`."""
    given = narrow.selector.matchers
    return all(_follows(wanted, given) for wanted in wide.selector.matchers)


def _follows(wanted: Matcher, given: Iterable[Matcher]) -> bool:
    """Whether labels that fit all the given matchers certainly fit the wanted one."""
    same = [each for each in given if each.name == wanted.name]
    if wanted in same:
        return True
    possible = [values for each in same if (values := _choice(each, Op.EQUAL, Op.MATCH)) is not None]
    if any(all(wanted.matches({wanted.name: value}) for value in values) for values in possible):
        return True
    refused = _choice(wanted, Op.NOT_EQUAL, Op.NOT_MATCH)
    return refused is not None and all(any(not each.matches({wanted.name: value}) for each in same) for value in refused)


def _choice(matcher: Matcher, one: Op, several: Op) -> Sequence[str] | None:
    """The values that the matcher names, when it is of either kind and names all of them."""
    if matcher.op is one:
        return (matcher.value,)
    if matcher.op is several and _PLAIN_CHOICE.fullmatch(matcher.value):
        return matcher.value.split("|")
    return None
