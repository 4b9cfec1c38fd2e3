"""What a replay would have decided otherwise, and which incidents would have opened, not opened, or been of another severity."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from schemas.incidents import Incident
from schemas.vocabulary import Action, Severity
from services.orchestrator.domain.alerts.firings import Decision
from services.orchestrator.domain.spoken import span


class Decided(NamedTuple):
    """A decision as it was made, as far as it is compared."""

    seq: int
    action: Action
    incident: str | None
    severity: Severity | None
    rule: str


@dataclass(frozen=True)
class Later:
    """An incident that was opened for a firing, and when."""

    incident: str
    at: datetime


@dataclass(frozen=True)
class Beginning:
    """By which rule an incident began, and whether that was in triage."""

    rule: str
    quiet: bool


@dataclass(frozen=True)
class Opening:
    """An incident that rules would have opened: when, for which alert, by which rule, and why."""

    incident: str
    at: datetime
    alert: str
    rule: str
    reason: str
    quiet: bool


@dataclass
class Report:
    """What a replay has found. Only what was decided from `since` on counts.

    `changes` counts decisions by what was and would be done. `openings` and `was_opened` are by the number of the decision
    behind them, `instead` says what would become of those in `was_opened`. `counterparts` are the names in the replay of
    recorded incidents. Of incidents in the replay: how each `began`, and why its severity was `raised` last. `levels` are the
    service levels that decisions have looked at.
    """

    since: datetime
    decisions: int = 0
    same: int = 0
    by_another_rule: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    inapplicable: Counter[str] = field(default_factory=Counter)
    openings: dict[int, Opening] = field(default_factory=dict)
    was_opened: dict[int, Later] = field(default_factory=dict)
    instead: dict[int, str] = field(default_factory=dict)
    counterparts: dict[str, str] = field(default_factory=dict)
    began: dict[str, Beginning] = field(default_factory=dict)
    raised: dict[str, str] = field(default_factory=dict)
    levels: set[str] = field(default_factory=set)

    def count(self, was: Decided, now: Decision, at: datetime) -> tuple[str, str] | None:
        """One more decision: what was and would be done; None when it is the same, as it is if only the rule is another one."""
        change = self._change(was, now)
        if at >= self.since:
            self.decisions += 1
            if change is None:
                self.same += 1
                self.by_another_rule += was.rule != now.rule
            else:
                self.changes[change] += 1
        return change

    def _change(self, was: Decided, now: Decision) -> tuple[str, str] | None:
        """What was and what would be done, as far as it differs."""
        if was.action is not now.action:
            return was.action, now.action
        if was.severity is not now.severity:
            return _rated(was.action, was.severity), _rated(now.action, now.severity)
        if was.incident is not None and self.counterparts.get(was.incident) != now.incident:
            return was.action, f"{now.action}, another incident"
        return None


def _rated(action: Action, severity: Severity | None) -> str:
    return f"{action} as {severity or 'unrated'}"


class What(StrEnum):
    """Kinds of differences between incidents."""

    OPENS = "would open"
    OPENS_NOT = "would not open"
    OPENS_EARLIER = "would open earlier"
    OPENS_LATER = "would open later"
    QUIETER = "would be in triage"
    LOUDER = "would not be in triage"
    SEVERITY = "severity"


@dataclass(frozen=True)
class Difference:
    """One line of the report. `incident` is the recorded one, or `NEW-1` for one that there never was."""

    what: What
    at: datetime
    incident: str
    alert: str
    was: str
    would_be: str
    why: str


@dataclass(frozen=True)
class Recorded:
    """An incident as it is, whether it began in triage, and why its severity was raised last."""

    incident: Incident
    quiet: bool = False
    raised: str = ""


def differences(report: Report, recorded: Mapping[str, Recorded], replayed: Mapping[str, Incident]) -> list[Difference]:
    """In the order of the decisions behind them. Both mappings are by the incidents' names, each in its own world."""
    return _Comparison(report, recorded, replayed).lines()


_NAME = re.compile(r"\bINC-[1-9][0-9]*\b")


class _Comparison:
    """Recorded incidents beside their counterparts in the replay."""

    def __init__(self, report: Report, recorded: Mapping[str, Recorded], replayed: Mapping[str, Incident]) -> None:
        self._report, self._recorded, self._replayed = report, recorded, replayed
        self._earnest = _pairs(report)
        self._names = _names(report)

    def lines(self) -> list[Difference]:
        report, found = self._report, list[tuple[int, Difference]]()
        for seq, opening in report.openings.items():
            line = self._beside(seq, opening)
            if line is not None and max(line.at, opening.at) >= report.since:
                found.append((seq, line))
        for seq in report.was_opened.keys() - self._earnest.values():
            line = self._missing(seq, report.was_opened[seq])
            if line.at >= report.since:
                found.append((seq, line))
        return [line for _, line in sorted(found, key=lambda pair: pair[0])]

    def _beside(self, seq: int, opening: Opening) -> Difference | None:
        """How an incident of the replay differs from the recorded one; None when it does not."""
        after = self._rated(self._replayed[opening.incident], opening.quiet)
        earnest = self._earnest.get(seq)
        if earnest is None:
            return self._line(What.OPENS, opening.at, opening, "nothing", after, opening.reason)
        was = self._report.was_opened[earnest]
        recorded = self._recorded.get(was.incident)
        if recorded is None:
            return None
        before = self._rated(recorded.incident, recorded.quiet)
        if earnest != seq:
            what = What.OPENS_LATER if earnest < seq else What.OPENS_EARLIER
            return self._line(what, was.at, opening, before, f"{after}, {apart(was.at, opening.at)}", opening.reason)
        what, why = self._contrast(recorded, opening)
        return self._line(what, was.at, opening, before, after, why) if before != after else None

    def _contrast(self, recorded: Recorded, opening: Opening) -> tuple[What, str]:
        before, after = recorded.incident.highest_severity, self._replayed[opening.incident].highest_severity
        raised = self._report.raised.get(opening.incident)
        if before is after:
            return What.LOUDER if recorded.quiet else What.QUIETER, opening.reason
        if before.outranks(after) and recorded.raised:
            return What.SEVERITY, f"No longer: {recorded.raised}"
        return What.SEVERITY, raised or opening.reason

    def _missing(self, seq: int, was: Later) -> Difference:
        recorded, counterpart = self._recorded.get(was.incident), self._report.counterparts.get(was.incident)
        before = self._rated(recorded.incident, recorded.quiet) if recorded else "opened"
        would_be = f"joins {self._names[counterpart]}" if counterpart else "nothing"
        alert = recorded.incident.title if recorded else ""
        why = self._renamed(self._report.instead.get(seq, ""))
        return Difference(What.OPENS_NOT, was.at, was.incident, alert, before, would_be, why)

    def _line(self, what: What, at: datetime, opening: Opening, was: str, would_be: str, why: str) -> Difference:
        name = self._names[opening.incident]
        return Difference(what, at, name, opening.alert, was, would_be, self._renamed(why))

    def _rated(self, incident: Incident, quiet: bool) -> str:
        return f"{incident.highest_severity}{' in triage' if quiet else ''}"

    def _renamed(self, text: str) -> str:
        """Names of the replay as those of their recorded counterparts."""
        return _NAME.sub(lambda match: self._names.get(match[0], match[0]), text)


def _pairs(report: Report) -> dict[int, int]:
    """By the number of the decision that opens an incident in the replay, that of the one that opened the same in earnest."""
    pairs = {seq: seq for seq in report.was_opened if seq in report.openings}
    openers = {opening.incident: seq for seq, opening in report.openings.items()}
    for seq, was in report.was_opened.items():
        opener = openers.get(report.counterparts.get(was.incident, ""))
        if seq not in report.openings and opener is not None and opener not in report.was_opened:
            pairs.setdefault(opener, seq)
    return pairs


def _names(report: Report) -> dict[str, str]:
    """What the incidents of the replay are called: like their recorded counterparts, or `NEW-1` where there is none."""
    names: dict[str, str] = {}
    for earnest, name in report.counterparts.items():
        names.setdefault(name, earnest)
    fresh = (opening.incident for opening in report.openings.values() if opening.incident not in names)
    return names | {name: f"NEW-{number}" for number, name in enumerate(dict.fromkeys(fresh), 1)}


def apart(was: datetime, would_be: datetime) -> str:
    """`10 minutes later`."""
    earlier = would_be < was
    return f"{span(was - would_be if earlier else would_be - was)} {'earlier' if earlier else 'later'}"
