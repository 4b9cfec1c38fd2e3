"""The incident: what a command makes of it. Pure and total: any command in any state gives changes or a refusal in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.incidents import (
    AlertsAttached,
    AlertsResolved,
    Change,
    Dismissed,
    Incident,
    Mitigated,
    MitigationProposed,
    NoteAdded,
    Opened,
    Promoted,
    ProposalCleared,
    PublicStateChanged,
    Reopened,
    Resolved,
    SeverityChanged,
    SeverityUnpinned,
    UpdatePosted,
)
from schemas.vocabulary import IncidentState, Severity
from services.orchestrator.domain import commands as ask
from services.orchestrator.domain.transitions import TRANSITIONS, Step, steps_from

_OVER = frozenset({IncidentState.REVIEWED, IncidentState.DISMISSED, IncidentState.MERGED})


@dataclass(frozen=True)
class Refusal:
    """Why a command was not carried out. Nothing has changed."""

    code: str
    detail: str


@dataclass(frozen=True)
class Because:
    """A change with the reason it was made, where that is not the command's own."""

    change: Change
    reason: str | None = None


@dataclass(frozen=True)
class Context:
    """What a decision may look at besides the incident and the command."""

    now: datetime
    quiet_period: timedelta
    key_holder: str | None = None
    """The open incident that holds this one's correlation key, if another does."""


Outcome = list[Because] | Refusal
Decide = Callable[[Incident, Any, Context], Outcome]


def decide(incident: Incident | None, command: ask.Command, context: Context) -> Outcome:
    """The changes that the command makes, none when it changes nothing, or a refusal."""
    if isinstance(command, ask.Open):
        return _open(incident, command)
    if incident is None:
        return Refusal("not_found", "There is no such incident.")
    return _DECIDERS[type(command)](incident, command, context)


def _open(incident: Incident | None, command: ask.Open) -> Outcome:
    if incident is not None:
        return Refusal("illegal_transition", f"{incident.id} exists already.")
    return [
        Because(
            Opened(
                uuid=command.uuid,
                title=command.title,
                state=command.state,
                severity=command.severity,
                services=command.services,
                environment=command.environment,
                correlation_key=command.correlation_key,
                drill=command.drill,
                first=_linked(command.first) if command.first else None,
            )
        )
    ]


def _linked(command: ask.Attach) -> AlertsAttached:
    return AlertsAttached(
        count=command.count,
        gating=command.gating,
        severity=command.severity,
        services=command.services,
        links=command.links,
        examples=command.examples,
    )


def _attach(incident: Incident, command: ask.Attach, _: Context) -> Outcome:
    if not incident.state.open:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; alerts join open incidents only.")
    changes = [Because(_linked(command)), *_raised(incident, command.severity)]
    if command.gating and incident.proposal is not None:
        changes.append(Because(ProposalCleared(), "a critical alert fires again"))
    return changes


def _raised(incident: Incident, severity: Severity | None) -> Sequence[Because]:
    """Severity follows the worst linked alert upwards, unless a person has pinned it."""
    if severity is None or not severity.outranks(incident.severity) or incident.severity_pinned:
        return ()
    change = SeverityChanged(before=incident.severity, after=severity, pinned=False)
    return (Because(change, f"{incident.severity} → {severity}: an {severity} alert is linked (rule alert-severity-floor)"),)


def _detach(incident: Incident, command: ask.Detach, _: Context) -> Outcome:
    del incident
    return [Because(AlertsResolved(count=command.count, gating=command.gating, examples=command.examples))]


def _set_severity(incident: Incident, command: ask.SetSeverity, _: Context) -> Outcome:
    if incident.state in _OVER:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; its severity stands as {incident.severity}.")
    if (incident.severity, incident.severity_pinned) == (command.severity, command.pin):
        return []
    return [Because(SeverityChanged(before=incident.severity, after=command.severity, pinned=command.pin))]


def _unpin(incident: Incident, _command: ask.Unpin, _context: Context) -> Outcome:
    if incident.state in _OVER:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; its severity stands as {incident.severity}.")
    if not incident.severity_pinned:
        return []
    unpinned = incident.model_copy(update={"severity_pinned": False})
    return [Because(SeverityUnpinned()), *_raised(unpinned, incident.alert_severity)]


def _set_public_state(incident: Incident, command: ask.SetPublicState, _: Context) -> Outcome:
    if incident.state in _OVER:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; what the public was told stands.")
    if incident.public_state is command.state:
        return []
    return [Because(PublicStateChanged(before=incident.public_state, after=command.state))]


def _post_update(incident: Incident, command: ask.PostUpdate, context: Context) -> Outcome:
    if incident.state is IncidentState.MERGED:
        return Refusal("illegal_transition", f"{incident.id} was merged; post on {incident.merged_into}.")
    next_due = context.now + command.next_in if command.next_in else None
    return [Because(UpdatePosted(text=command.text, next_due=next_due))]


def _add_note(_incident: Incident, command: ask.AddNote, _context: Context) -> Outcome:
    return [Because(NoteAdded(text=command.text))]


def quiet_due(incident: Incident, quiet_period: timedelta) -> datetime | None:
    """When mitigation may be proposed; None when there is nothing to wait for."""
    waiting = incident.state is IncidentState.ACTIVE and incident.proposal is None
    if not waiting or incident.alerts.gating or incident.quiet_since is None:
        return None
    return incident.quiet_since + quiet_period


def _propose(incident: Incident, _: ask.ProposeMitigation, context: Context) -> Outcome:
    due = quiet_due(incident, context.quiet_period)
    if due is None or due > context.now or incident.quiet_since is None:
        return []
    minutes = (context.now - incident.quiet_since).total_seconds() / 60
    reason = f"all critical alerts have been over for {minutes:.0f} minutes" if minutes >= 1 else "all critical alerts are over"
    return [Because(MitigationProposed(quiet_since=incident.quiet_since), reason)]


_STEPS: Mapping[Step, Callable[[Incident], Change]] = {
    Step.PROMOTE: lambda _: Promoted(),
    Step.MITIGATE: lambda _: Mitigated(),
    Step.RESOLVE: lambda _: Resolved(),
    Step.REOPEN: lambda incident: Reopened(before=incident.state),
    Step.DISMISS: lambda _: Dismissed(),
}


def _move(incident: Incident, command: ask.Move, context: Context) -> Outcome:
    if (incident.state, command.step) not in TRANSITIONS:
        possible = ", ".join(steps_from(incident.state)) or "nothing more"
        detail = f"{incident.id} is {incident.state}, so it cannot {command.step}; possible now: {possible}."
        return Refusal("illegal_transition", detail)
    if command.step is Step.REOPEN and context.key_holder not in {None, incident.id}:
        detail = f"{context.key_holder} is open for the same alerts ({incident.correlation_key}); work on that one."
        return Refusal("illegal_transition", detail)
    return [Because(_STEPS[command.step](incident))]


_DECIDERS: Mapping[type[ask.Command], Decide] = {
    ask.Attach: _attach,
    ask.Detach: _detach,
    ask.SetSeverity: _set_severity,
    ask.Unpin: _unpin,
    ask.SetPublicState: _set_public_state,
    ask.PostUpdate: _post_update,
    ask.AddNote: _add_note,
    ask.ProposeMitigation: _propose,
    ask.Move: _move,
}
