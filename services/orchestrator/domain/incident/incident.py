"""The incident: what a command makes of it. Pure and total: any command in any state gives changes or a refusal in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.incidents import (
    Absorbed,
    AlertsAttached,
    AlertsResolved,
    AlertsRestated,
    Change,
    Dismissed,
    Flapping,
    Incident,
    Merged,
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
    SplitOut,
    UpdatePosted,
)
from schemas.vocabulary import ActorKind, FiringState, IncidentState, Severity
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.evolve import holding
from services.orchestrator.domain.incident.transitions import TRANSITIONS, Step, steps_from

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
class Periods:
    """How long it must be quiet before mitigation is proposed (`active`) or a triage incident dismissed (`triage`), at least
    `flapping` where alerts came and went; and how long alerts must fire for a triage incident to be promoted by that alone
    (`promote`; None: never)."""

    active: timedelta
    triage: timedelta = timedelta(minutes=30)
    promote: timedelta | None = None
    flapping: timedelta = timedelta(0)


@dataclass(frozen=True)
class Context:
    """What a decision may look at besides the incident and the command."""

    now: datetime
    periods: Periods
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
                split_from=command.split_from,
            )
        )
    ]


def _linked(command: ask.Attach) -> AlertsAttached:
    return AlertsAttached(
        count=command.count,
        gating=command.gating,
        muted=command.muted,
        stale=command.stale,
        severity=command.severity,
        services=command.services,
        links=command.links,
        examples=command.examples,
    )


def _attach(incident: Incident, command: ask.Attach, _: Context) -> Outcome:
    if not incident.state.open:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; alerts join open incidents only.")
    raised = _raised(incident, command.at_least, command.why or _FLOOR.format(command.at_least))
    changes = [Because(_linked(command)), *raised]
    if command.gating and incident.proposal is not None:
        changes.append(Because(ProposalCleared(), "a critical alert fires again"))
    return changes


_FLOOR = "an {} alert is linked, rule alert-severity-floor"


def _raised(incident: Incident, severity: Severity | None, why: str) -> Sequence[Because]:
    """Severity moves upwards only, and not at all where a person has pinned it."""
    if severity is None or not severity.outranks(incident.severity) or incident.severity_pinned:
        return ()
    change = SeverityChanged(before=incident.severity, after=severity, pinned=False)
    return (Because(change, f"{incident.severity} → {severity}: {why}"),)


def _raise(incident: Incident, command: ask.Raise, _: Context) -> Outcome:
    if not incident.state.open or incident.severity_pinned or not command.severity.outranks(incident.severity):
        return []
    return [Because(SeverityChanged(before=incident.severity, after=command.severity, pinned=False))]


def _detach(incident: Incident, command: ask.Detach, _: Context) -> Outcome:
    del incident
    over = AlertsResolved(
        count=command.count, gating=command.gating, muted=command.muted, stale=command.stale, examples=command.examples
    )
    return [Because(over)]


def _restate(incident: Incident, command: ask.Restate, _: Context) -> Outcome:
    """No critical alert fires into an incident that looks calm."""
    change = AlertsRestated(before=command.before, after=command.after, count=command.count, examples=command.examples)
    changes = [Because(change)]
    if command.gating and command.after is FiringState.FIRING and incident.state is IncidentState.MITIGATED:
        changes.append(Because(Reopened(before=incident.state), f"a critical alert that was {command.before} fires again"))
    return changes


def _note_flapping(incident: Incident, command: ask.NoteFlapping, context: Context) -> Outcome:
    """Once within its time; a spell that outlasts it is told again."""
    if not incident.state.open or (incident.flapping_until is not None and incident.flapping_until > context.now):
        return []
    return [Because(Flapping(alert=command.alert, times=command.times, until=command.until))]


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
    return [Because(SeverityUnpinned()), *_raised(unpinned, incident.alert_severity, _FLOOR.format(incident.alert_severity))]


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


def next_due(incident: Incident, periods: Periods) -> datetime | None:
    """The next moment at which time alone may change the incident; None when there is nothing to wait for."""
    moments = [moment for moment in (quiet_due(incident, periods), promotion_due(incident, periods)) if moment is not None]
    return min(moments, default=None)


def promotion_due(incident: Incident, periods: Periods) -> datetime | None:
    """When a triage incident has been held for long enough to be promoted."""
    if incident.state is not IncidentState.TRIAGE or periods.promote is None or incident.held_since is None:
        return None
    return incident.held_since + periods.promote


def quiet_due(incident: Incident, periods: Periods) -> datetime | None:
    """When mitigation may be proposed, or a triage incident dismissed."""
    period = {IncidentState.ACTIVE: periods.active, IncidentState.TRIAGE: periods.triage}.get(incident.state)
    if period is None or incident.proposal is not None or incident.quiet_since is None or holding(incident):
        return None
    if incident.opened_by.kind is ActorKind.PERSON and not (incident.alert_severity and incident.alert_severity.critical):
        return None  # what a person declared is not over because a lesser alert is
    if incident.flapping_until is None or incident.quiet_since > incident.flapping_until:
        return incident.quiet_since + period
    return max(incident.quiet_since + max(period, periods.flapping), incident.flapping_until)


def _time_passed(incident: Incident, _: ask.TimePassed, context: Context) -> Outcome:
    due = promotion_due(incident, context.periods)
    if due is not None and due <= context.now and incident.held_since is not None:
        minutes = (context.now - incident.held_since).total_seconds() / 60
        return [Because(Promoted(), f"its alerts have not been over for {minutes:.0f} minutes")]
    due = quiet_due(incident, context.periods)
    if due is None or due > context.now or incident.quiet_since is None:
        return []
    minutes = (context.now - incident.quiet_since).total_seconds() / 60
    if incident.state is IncidentState.TRIAGE:
        return [Because(Dismissed(), f"it was never promoted, and all its alerts have been over for {minutes:.0f} minutes")]
    reason = f"all critical alerts have been over for {minutes:.0f} minutes" if minutes >= 1 else "all critical alerts are over"
    return [Because(MitigationProposed(quiet_since=incident.quiet_since), reason)]


def _merge(incident: Incident, command: ask.Merge, _: Context) -> Outcome:
    if command.into == incident.id:
        return Refusal("illegal_transition", f"{incident.id} cannot be merged into itself.")
    if incident.state is IncidentState.MERGED:
        return Refusal("illegal_transition", f"{incident.id} was merged into {incident.merged_into} already.")
    if (incident.state, Step.MERGE) not in TRANSITIONS:
        return _impossible(incident, Step.MERGE)
    return [Because(Merged(into=command.into))]


def _absorb(incident: Incident, command: ask.Absorb, _: Context) -> Outcome:
    if incident.state is IncidentState.MERGED:
        detail = f"{incident.id} was merged into {incident.merged_into}; merge into that one."
        return Refusal("illegal_transition", detail)
    if not incident.state.open:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; only an open incident takes in another.")
    change = Absorbed(
        source=command.source,
        alerts=command.alerts,
        severity=command.severity,
        services=command.services,
        links=command.links,
    )
    changes = [Because(change), *_raised(incident, command.severity, f"{command.source} was merged into it")]
    if command.alerts.gating and incident.proposal is not None:
        changes.append(Because(ProposalCleared(), "the merged incident has a critical alert that fires"))
    return changes


def _split_out(incident: Incident, command: ask.SplitOut, _: Context) -> Outcome:
    if not incident.state.open:
        return Refusal("illegal_transition", f"{incident.id} is {incident.state}; alerts are split out of open incidents only.")
    change = SplitOut(into=command.into, alerts=command.alerts, severity=command.severity, examples=command.examples)
    return [Because(change)]


_STEPS: Mapping[Step, Callable[[Incident], Change]] = {
    Step.PROMOTE: lambda _: Promoted(),
    Step.MITIGATE: lambda _: Mitigated(),
    Step.RESOLVE: lambda _: Resolved(),
    Step.REOPEN: lambda incident: Reopened(before=incident.state),
    Step.DISMISS: lambda _: Dismissed(),
}


def _move(incident: Incident, command: ask.Move, context: Context) -> Outcome:
    if (incident.state, command.step) not in TRANSITIONS or command.step not in _STEPS:
        return _impossible(incident, command.step)
    if command.step is Step.REOPEN and context.key_holder not in {None, incident.id}:
        detail = f"{context.key_holder} is open for the same alerts ({incident.correlation_key}); work on that one."
        return Refusal("illegal_transition", detail)
    return [Because(_STEPS[command.step](incident))]


def _impossible(incident: Incident, step: Step) -> Refusal:
    possible = ", ".join(steps_from(incident.state)) or "nothing more"
    return Refusal("illegal_transition", f"{incident.id} is {incident.state}, so it cannot {step}; possible now: {possible}.")


_DECIDERS: Mapping[type[ask.Command], Decide] = {
    ask.Attach: _attach,
    ask.Detach: _detach,
    ask.Restate: _restate,
    ask.NoteFlapping: _note_flapping,
    ask.Raise: _raise,
    ask.SetSeverity: _set_severity,
    ask.Unpin: _unpin,
    ask.SetPublicState: _set_public_state,
    ask.PostUpdate: _post_update,
    ask.AddNote: _add_note,
    ask.TimePassed: _time_passed,
    ask.Merge: _merge,
    ask.Absorb: _absorb,
    ask.SplitOut: _split_out,
    ask.Move: _move,
}
