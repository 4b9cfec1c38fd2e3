"""Are we having one? The verdict, why, and the incident that would be worth starting."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.incidents import MAX_TITLE
from schemas.vocabulary import Severity, worst
from services.orchestrator.domain import spoken
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.evidence.covering import covering
from services.orchestrator.domain.evidence.picture import OpenIncident, Picture, ServiceAlerts, by_service, short
from services.orchestrator.domain.evidence.signs import Sign, Verdict, signs

MAX_NAMED = 5
"""So many signs of a kind are told; the rest is counted."""


@dataclass(frozen=True)
class Start:
    """The incident that would be worth starting."""

    title: str
    severity: Severity
    services: tuple[str, ...]

    @property
    def command(self) -> str:
        """What to type. Names come from outside: they are quoted for the shell, and none is taken for an option."""
        options = [f"--severity {self.severity.lower()}", *(f"--service={shlex.quote(name)}" for name in self.services)]
        return " ".join(["tocsin incident declare", shlex.quote(self.title.lstrip("-")), *options])


@dataclass(frozen=True)
class Assessment:
    """The verdict in a word and in a sentence, and why, the weightiest reason first.

    `start` is there when something may be worth an incident and no open one is about it. `about` names per SLO the open
    incidents that are.
    """

    verdict: Verdict
    summary: str
    reasons: tuple[str, ...]
    services: tuple[ServiceAlerts, ...]
    start: Start | None
    about: Mapping[str, tuple[str, ...]]


def assess(picture: Picture) -> Assessment:
    """Weigh what is known now."""
    services = by_service(picture)
    about = {slo.name: covering(slo, state, picture) for slo, state in picture.slos}
    found = sorted(signs(picture, services, about), key=_gravity)
    verdict = min((_counts_as(sign) for sign in found), key=lambda each: each.rank, default=Verdict.QUIET)
    uncovered = [sign for sign in found if sign.title and not sign.covered]
    return Assessment(
        verdict=verdict,
        summary=_summary(verdict, picture.real, uncovered),
        reasons=tuple(_told(found)),
        services=tuple(services),
        start=_start(uncovered),
        about=about,
    )


def _counts_as(sign: Sign) -> Verdict:
    """What has its incident says nothing new: that the incident is open counts already."""
    return Verdict.QUIET if sign.covered and sign.kind != "incident" else sign.weight


def _gravity(sign: Sign) -> tuple[int, bool, str]:
    return sign.weight.rank, bool(sign.covered), sign.severity or "unrated"


def _told(found: Iterable[Sign]) -> Iterable[str]:
    kinds: Counter[str] = Counter()
    for sign in found:
        kinds[sign.kind] += 1
        if kinds[sign.kind] <= MAX_NAMED:
            yield one_line(sign.sentence, 500)
    for kind, number in kinds.items():
        if number > MAX_NAMED:
            yield f"and {spoken.count(number - MAX_NAMED, f'more {kind}')}"


def _summary(verdict: Verdict, incidents: Sequence[OpenIncident], uncovered: Sequence[Sign]) -> str:
    strong = [sign for sign in uncovered if sign.weight.rank <= Verdict.LIKELY.rank]
    if verdict is Verdict.INCIDENT and not incidents:
        return "Yes, and nobody has started an incident yet."
    if verdict is Verdict.INCIDENT:
        return f"Yes: {_named(incidents)} open.{' Something else has no incident yet.' if strong else ''}"
    if verdict is Verdict.LIKELY:
        return "Probably. It is better to start one than to wait." if strong else f"Probably: {_named(incidents)} in triage."
    if verdict is Verdict.UNCLEAR:
        return "There are signs, none of them strong." if uncovered else "Nothing speaks for it, but not everything can be seen."
    return "No: nothing fires, and every service level and resource is within its lines."


def _named(incidents: Sequence[OpenIncident]) -> str:
    names = ", ".join(incident.id for incident in incidents[:3])
    more = f" and {spoken.count(len(incidents) - 3, 'other')}" if len(incidents) > 3 else ""
    return f"{names}{more} {'is' if len(incidents) == 1 else 'are'}"


def _start(uncovered: Sequence[Sign]) -> Start | None:
    """For the gravest sign, and what weighs as much."""
    if not uncovered:
        return None
    alike = [sign for sign in uncovered if sign.weight is uncovered[0].weight][:MAX_NAMED]
    severity = worst(sign.severity for sign in alike) or Severity.S3
    services = dict.fromkeys(short(name) for sign in alike for name in sign.services)
    return Start(one_line(uncovered[0].title, MAX_TITLE), severity, tuple(filter(None, services)))
