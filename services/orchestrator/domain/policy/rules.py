"""The rules of a policy as values, and how the ones that match an alert are found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from schemas.vocabulary import Action, Severity
from services.matching import Selector

EVERYTHING = Selector(())


@dataclass(frozen=True)
class Breadth:
    """So many distinct values of a label (`service`, `instance`, any) among what fires together within a time."""

    of: str
    at_least: int
    within: timedelta


@dataclass(frozen=True)
class Rate:
    """So many of something within a time."""

    count: int
    within: timedelta


@dataclass(frozen=True)
class SeverityRule:
    """Alerts that match are at least as severe as `severity` while every given condition holds."""

    name: str
    selector: Selector
    severity: Severity
    breadth: Breadth | None = None
    persists: timedelta | None = None


@dataclass(frozen=True)
class CorrelationRule:
    """Alerts that match belong together by these labels instead of the usual ones."""

    name: str
    selector: Selector
    by: tuple[str, ...]


@dataclass(frozen=True)
class DecisionRule:
    """What becomes of alerts that match. `severities`: only those, None among them stands for an unknown severity."""

    name: str
    selector: Selector
    action: Action
    severities: frozenset[Severity | None] | None = None


@dataclass(frozen=True)
class Promotion:
    """What makes a triage incident an active one: any of these."""

    severity: Severity | None = Severity.S2
    breadth: Breadth | None = None
    persists: timedelta | None = None


@dataclass(frozen=True)
class History:
    """Rules about what came before; each is off unless given.

    `repeat_within`: an S2/S3 so soon after a closed S2/S3 of the same service opens as S2. `stable_period`: an S1/S2 counts as
    closed only after so long. `combine`: so many S3/S4 alerts that belong together make an S2.
    """

    repeat_within: timedelta | None = None
    stable_period: timedelta = timedelta(0)
    combine: Rate | None = None


class Selecting(Protocol):
    """Anything with a selector."""

    @property
    def selector(self) -> Selector: ...


R = TypeVar("R", bound=Selecting)


MEMORY = 20_000
"""Different alerts, as far as an index can tell them apart, of which it remembers the rules."""
LONGEST_REMEMBERED = 500
"""Characters of what it tells them apart by; longer labels are not worth the memory."""


class Index(Generic[R]):
    """Rules in their order. A rule with a literal matcher is looked at only when an alert has that very value; what was found
    for the labels that any rule looks at is remembered."""

    def __init__(self, rules: Sequence[R]) -> None:
        variety = Counter(pair for rule in rules for pair in rule.selector.literals.items())
        labels = Counter(name for name, _ in variety)
        self._rules = tuple(rules)
        self._looks_at = tuple(sorted({matcher.name for rule in rules for matcher in rule.selector.matchers}))
        self._remembered: dict[tuple[str | None, ...], tuple[R, ...]] = {}
        self._by_label: dict[str, dict[str, list[int]]] = {}
        self._others: list[int] = []
        for position, rule in enumerate(rules):
            literals = rule.selector.literals
            if not literals:
                self._others.append(position)
                continue
            name = max(literals, key=lambda label: labels[label])
            self._by_label.setdefault(name, {}).setdefault(literals[name], []).append(position)

    def matching(self, labels: Mapping[str, str]) -> tuple[R, ...]:
        """The rules that match, in their order."""
        if not self._rules:
            return ()
        seen = tuple([labels.get(name) for name in self._looks_at])
        found = self._remembered.get(seen)
        if found is None:
            rules = (self._rules[position] for position in self._candidates(labels))
            found = tuple(rule for rule in rules if rule.selector.matches(labels))
            if sum(map(len, filter(None, seen))) <= LONGEST_REMEMBERED:
                self._remember(seen, found)
        return found

    def _remember(self, seen: tuple[str | None, ...], found: tuple[R, ...]) -> None:
        if len(self._remembered) >= MEMORY:
            self._remembered.clear()
        self._remembered[seen] = found

    def _candidates(self, labels: Mapping[str, str]) -> Sequence[int]:
        found = self._others
        for name, values in self._by_label.items():
            positions = values.get(labels.get(name, ""))
            if positions:
                found = found + positions
        return found if found is self._others else sorted(found)
