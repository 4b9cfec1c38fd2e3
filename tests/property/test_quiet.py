"""Messages, lists and people in any mixture: incidents count what their firings are, and what is heard as new is news."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alerts import AlertReceived
from schemas.incidents import AlertCounts
from schemas.vocabulary import AlertStatus, FiringState, IncidentState
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.reconcile import Answer, OpenFiring, Seen, reconcile
from services.orchestrator.domain.deciding.ledger import Cause, Ledger
from services.orchestrator.domain.deciding.restating import tell
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from tests.builders import NOW, POLICY, an_alert, minutes
from tests.support.desk import Desk

ALERTS = [an_alert(), an_alert(instance="web-2"), an_alert("Minor", severity="s4"), an_alert("Other", service="api")]
GRACE, STALE_AFTER = minutes(2), timedelta(hours=2)


class House(Desk):
    """A desk that is also told what Alertmanager lists."""

    def hold_against(self, answer: Answer | None, now: datetime) -> None:
        held = [open_firing(firing) for firing in self.latest.values() if firing.ends_at is None]
        changes = reconcile(held, answer, now, STALE_AFTER, GRACE)
        for change in changes:
            after = change.after
            firing = self.latest[after.fingerprint].but(
                state=after.state, ends_at=after.ends_at, last_seen=after.last_seen, expires_at=after.expires_at,
                muted_by=after.muted_by,
            )  # fmt: skip
            self.world.keep(firing)
            self.firings[after.seq] = firing
        ledger = Ledger(POLICY, self.world, now, telling=True)
        for telling in tell(changes):
            ledger.carry_out(telling.incident, telling.command, Cause(telling.rule, telling.reason, now))


def open_firing(firing: Firing) -> OpenFiring:
    assert firing.decision
    return OpenFiring(
        seq=firing.decision.seq,
        fingerprint=firing.fingerprint,
        name=firing.name,
        instance=None,
        severity=firing.severity,
        incident=firing.incident,
        state=firing.state,
        newest_start=firing.newest_start,
        last_seen=firing.last_seen,
        expires_at=firing.expires_at,
        muted_by=firing.muted_by,
    )


Act = Callable[[House, datetime], None]

alerts, spans = st.sampled_from(ALERTS), st.integers(0, 400).map(minutes)


@st.composite
def messages(draw: st.DrawFn) -> Act:
    alert, late, over = draw(alerts), draw(spans), draw(st.booleans())

    def act(house: House, now: datetime) -> None:
        status = AlertStatus.RESOLVED if over else AlertStatus.FIRING
        ends_at = now - late / 2 if over else None
        said = {"status": status, "starts_at": now - late, "ends_at": ends_at, "received_at": now}
        house.take(alert.model_copy(update=said), now=now)

    return act


@st.composite
def lists(draw: st.DrawFn) -> Act:
    everything = [alert.fingerprint for alert in ALERTS]
    names = draw(st.one_of(st.just([]), st.just(everything), st.lists(st.sampled_from(everything), unique=True)))
    muted, complete, ahead = draw(st.booleans()), draw(st.sampled_from([True, True, True, False])), draw(st.integers(1, 60))

    def act(house: House, now: datetime) -> None:
        seen = Seen(
            FiringState.MUTED if muted else FiringState.FIRING, now + minutes(ahead), "silenced by ann" if muted else None
        )
        house.hold_against(Answer(now, complete, dict.fromkeys(names, seen), NOW - minutes(60)), now)

    return act


def nobody_is_asked(house: House, now: datetime) -> None:
    house.hold_against(None, now)


@st.composite
def orders(draw: st.DrawFn) -> Act:
    step = draw(st.sampled_from([Step.MITIGATE, Step.RESOLVE]))

    def act(house: House, now: datetime) -> None:
        for incident in list(house.incidents.values()):
            if incident.state is IncidentState.ACTIVE:
                house.order(incident.id, ask.Move(step), now)

    return act


acts = st.lists(
    st.tuples(st.one_of(messages(), messages(), lists(), lists(), st.just(nobody_is_asked), orders()), spans), max_size=25
)


@settings(deadline=None)
@given(acts)
def test_incidents_count_what_their_firings_are(sequence: list[tuple[Act, timedelta]]) -> None:
    house, now = House(), NOW
    for act, later in sequence:
        now += later
        act(house, now)
        for incident in house.incidents.values():
            assert incident.alerts == counted([each for each in house.firings.values() if each.incident == incident.id])


@settings(deadline=None)
@given(acts, alerts.filter(lambda alert: alert.labels["severity"] == "s1"))
def test_after_anything_a_critical_alert_that_begins_holds_an_incident_open(
    sequence: list[tuple[Act, timedelta]], alert: AlertReceived
) -> None:
    """Whatever was presumed before, what is heard as new is not old news."""
    house, now = House(), NOW
    for act, later in sequence:
        now += later
        act(house, now)
    now += minutes(1)
    house.take(alert.model_copy(update={"starts_at": now, "received_at": now}), now=now)
    firing = house.latest[alert.fingerprint]
    assert firing.state in {FiringState.FIRING, FiringState.MUTED}
    assert firing.incident is not None
    assert house.incidents[firing.incident].alerts.gating > 0


def counted(firings: list[Firing]) -> AlertCounts:
    states = Counter(firing.state.value for firing in firings)
    gating = sum(firing.gating and firing.ends_at is None for firing in firings)
    return AlertCounts(**states, gating=gating)
