"""What is known of alerts together: the evidence for rules that look beyond a single one, kept under the key that they share.

It is kept as small as the rules need it: of each breadth rule the newest distinct values, of rates the newest moments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.orchestrator.domain.policy.rules import Breadth, Rate

MAX_VALUE = 200
"""Characters of a label's value that are compared."""


@dataclass(frozen=True)
class Sighting:
    """When a value was last seen to begin firing, and in which alert (its fingerprint)."""

    at: datetime
    alert: str = ""


@dataclass(frozen=True)
class Group:
    """`seen`: per rule the newest values, each as it was last seen. `lesser`: when S3/S4 alerts began. `openings`: when rules
    opened incidents, kept for the guard under a key of its own."""

    seen: Mapping[str, Mapping[str, Sighting]] = field(default_factory=dict)
    lesser: tuple[datetime, ...] = ()
    openings: tuple[datetime, ...] = ()

    def with_value(self, rule: str, breadth: Breadth, value: str, sighting: Sighting) -> "Group":
        """The value began to fire."""
        values = {**self.seen.get(rule, {}), value[:MAX_VALUE]: sighting}
        if len(values) > breadth.at_least:
            del values[min(values, key=lambda known: (values[known].at, known))]
        return replace(self, seen={**self.seen, rule: values})

    def values(self, rule: str, breadth: Breadth, now: datetime) -> list[str]:
        """The distinct values within the time, sorted."""
        since = now - breadth.within
        return sorted(value for value, sighting in self.seen.get(rule, {}).items() if sighting.at >= since)

    def holds(self, rule: str, breadth: Breadth, now: datetime) -> bool:
        return len(self.values(rule, breadth, now)) >= breadth.at_least

    def alerts(self, rule: str) -> set[str]:
        """The alerts in which the values were last seen."""
        return {sighting.alert for sighting in self.seen.get(rule, {}).values()}


def newest(moments: tuple[datetime, ...], at: datetime, rate: Rate) -> tuple[datetime, ...]:
    """The moments with one more; of those within the time, at most as many as the rate needs."""
    since = at - rate.within
    return (*(moment for moment in moments if moment >= since), at)[-rate.count :]


def reached(moments: tuple[datetime, ...], now: datetime, rate: Rate) -> bool:
    """Whether there were so many within the time."""
    since = now - rate.within
    return sum(moment >= since for moment in moments) >= rate.count
