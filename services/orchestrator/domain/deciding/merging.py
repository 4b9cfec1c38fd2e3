"""Merging: an incident turns out to be the same trouble as another, which takes over all that it has. Both halves, or none."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.incidents import Incident, Promoted, Reopened
from schemas.vocabulary import IncidentState
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Because, Context, Refusal, decide


@dataclass(frozen=True)
class Merging:
    """What happens to the incident that ends, and to the one that goes on."""

    source: list[Because]
    target: list[Because]


def merge(source: Incident, target: Incident, context: Context) -> Merging | Refusal:
    """Merge `source` into `target`. A final state on either side refuses it, so merges never make a circle."""
    ends = decide(source, ask.Merge(target.id), context)
    if isinstance(ends, Refusal):
        return ends
    if target.merged_into == source.id:
        return Refusal("illegal_transition", f"{target.id} was merged into {source.id} already.")
    takes = decide(target, _brought_along(source), context)
    if isinstance(takes, Refusal):
        return takes
    return Merging(ends, [*takes, *_awakened(source, target)])


def _brought_along(source: Incident) -> ask.Absorb:
    return ask.Absorb(
        source=source.id,
        alerts=source.alerts,
        severity=source.alert_severity,
        services=source.services,
        links=source.links,
    )


def _awakened(source: Incident, target: Incident) -> Iterator[Because]:
    """Trouble that is being worked on is not hidden in an incident that waits or is calm."""
    if target.state is IncidentState.TRIAGE and source.state is not IncidentState.TRIAGE:
        yield Because(Promoted(), f"{source.id}, which was {source.state}, was merged into it")
    if target.state is IncidentState.MITIGATED and source.state is not IncidentState.MITIGATED and source.alerts.gating:
        yield Because(Reopened(before=target.state), f"a critical alert of {source.id}, which was merged into it, is not over")
