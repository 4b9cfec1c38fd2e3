"""Splitting alerts out of an incident: what begins, what stays, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.incidents import AlertCounts, Incident, IncidentEvent
from schemas.vocabulary import Action, FiringState, IncidentState, Severity
from services.orchestrator.domain.alerts.firings import Decision, Firing, observe
from services.orchestrator.domain.deciding.splitting import Linked, New, Splitting, Wish, split
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.happen import record
from services.orchestrator.domain.incident.incident import Context, Refusal, decide
from tests.builders import ANN, NOW, POLICY, an_alert

CONTEXT, NEW = Context(NOW, POLICY.periods), New("INC-9", "uuid")
COUNTS = AlertCounts(firing=4, muted=1, stale=1, resolved=2, gating=3)


def a_source(**given: Any) -> Incident:
    opened = decide(None, ask.Open("INC-2", "u", "Down", Severity.S1, ("web",), correlation_key="service=web,env=gprd"), CONTEXT)
    assert not isinstance(opened, Refusal)
    incident, _ = record("INC-2", None, opened, actor=ANN, reason="because", now=NOW)
    assert incident
    return incident.model_copy(update={"alerts": COUNTS, "alert_severity": Severity.S1} | given)


def a_firing(number: int, name: str = "DbDown", state: FiringState = FiringState.FIRING, **labels: Any) -> Firing:
    _, firing = observe(None, an_alert(name, **{"severity": "s2", "service": "db"} | labels))
    severity = POLICY.severity_of(firing.labels)
    decision = Decision(number, Action.ATTACH, "INC-2", severity, "rate-guard", "p", NOW, "because", {})
    key = POLICY.correlation_key(firing.labels)
    return replace(firing, key=key, severity=severity, incident="INC-2", state=state, decision=decision)


DB, DB_MINOR = a_firing(7), a_firing(4, "DbSlow", severity="s4")


def linked(*firings: Firing, **given: Any) -> Linked:
    known: dict[str, Any] = {"others": True, "worst": Severity.S1, "keys": frozenset({"service=web,env=gprd"})}
    holders = {"service=web,env=gprd": "INC-2", "service=db,env=gprd": "INC-2"}
    return Linked(**{"named": {firing.fingerprint: firing for firing in firings}, "holders": holders, **known, **given})


def ask_for(*firings: Firing, **given: Any) -> Wish:
    return Wish(tuple(firing.fingerprint for firing in firings), **given)


def done(wish: Wish, known: Linked, source: Incident | None = None) -> Splitting:
    splitting = split(source or a_source(), wish, known, NEW, CONTEXT)
    assert not isinstance(splitting, Refusal), splitting
    return splitting


def begun(splitting: Splitting) -> tuple[Incident, list[IncidentEvent]]:
    incident, events = record("INC-9", None, splitting.new, actor=ANN, reason="another cause", now=NOW)
    assert incident
    return incident, events


def left(splitting: Splitting, source: Incident | None = None) -> tuple[Incident, list[IncidentEvent]]:
    incident, events = record("INC-2", source or a_source(), splitting.source, actor=ANN, reason="another cause", now=NOW)
    assert incident
    return incident, events


def test_the_new_incident_is_that_of_its_alerts() -> None:
    incident, events = begun(done(ask_for(DB, DB_MINOR), linked(DB, DB_MINOR)))
    assert (incident.id, incident.uuid, incident.state) == ("INC-9", "uuid", IncidentState.ACTIVE)
    assert (incident.title, incident.severity, incident.services) == ("DbSlow on db", Severity.S2, ("db",))
    assert (incident.environment, incident.alert_severity) == ("gprd", Severity.S2)
    assert incident.alerts == AlertCounts(firing=2, gating=1)
    assert [event.text for event in events] == ["Split from INC-2 as S2: DbSlow on db"]
    assert events[0].change["split_from"] == "INC-2"


def test_a_title_and_a_severity_that_were_given_win() -> None:
    incident, _ = begun(done(ask_for(DB, title="The database", severity=Severity.S4), linked(DB)))
    assert (incident.title, incident.severity, incident.alert_severity) == ("The database", Severity.S4, Severity.S2)


def test_an_unknown_severity_is_assumed_to_be_s3() -> None:
    odd = a_firing(5, severity="panic")
    assert begun(done(ask_for(odd), linked(odd)))[0].severity is Severity.S3


def test_alerts_of_several_environments_have_none_in_common() -> None:
    staging = a_firing(8, env="staging")
    assert begun(done(ask_for(DB, staging), linked(DB, staging)))[0].environment is None


def test_a_drill_stays_a_drill() -> None:
    assert begun(done(ask_for(DB), linked(DB), a_source(drill=True)))[0].drill is True


def test_every_count_leaves_one_side_and_arrives_at_the_other() -> None:
    moved = (
        DB,
        a_firing(5, "A", state=FiringState.MUTED, severity="s1"),
        a_firing(6, "B", state=FiringState.STALE, severity="s3"),
    )
    splitting = done(ask_for(*moved), linked(*moved))
    assert begun(splitting)[0].alerts == AlertCounts(firing=1, muted=1, stale=1, gating=2)
    source, events = left(splitting)
    assert source.alerts == AlertCounts(firing=3, resolved=2, gating=1)
    assert events[0].text == "3 alerts split out into INC-9: A, B, DbDown"


def test_the_source_is_as_bad_as_what_stays() -> None:
    splitting = done(ask_for(DB), linked(DB, worst=Severity.S3), a_source(alerts=AlertCounts(firing=2, gating=1)))
    source, _ = left(splitting, a_source(alerts=AlertCounts(firing=2, gating=1)))
    assert (source.alert_severity, source.severity) == (Severity.S3, Severity.S1)
    assert source.quiet_since is None, "its S3 alert fires, and no critical one was ever over"


def test_the_source_is_quiet_from_now_on_when_what_fires_has_left() -> None:
    firing = a_source(alerts=AlertCounts(firing=1, gating=1, resolved=1))
    assert left(done(ask_for(DB), linked(DB), firing), firing)[0].quiet_since == NOW


def test_each_alert_is_pinned_and_a_key_moves_with_the_last_of_its_alerts() -> None:
    splitting = done(ask_for(DB, DB_MINOR), linked(DB, DB_MINOR))
    pins = {f"fingerprint:{firing.fingerprint}" for firing in (DB, DB_MINOR)}
    assert set(splitting.keys) == {"service=db,env=gprd"} | pins
    assert begun(splitting)[0].correlation_key == "service=db,env=gprd"


@pytest.mark.parametrize(
    "given",
    [
        {"keys": frozenset({"service=db,env=gprd"})},
        {"holders": {"service=db,env=gprd": "INC-7"}},
        {"holders": {}},
    ],
    ids=["some of its alerts stay", "another incident holds it", "nobody holds it"],
)
def test_a_key_stays_where_it_is(given: dict[str, Any]) -> None:
    splitting = done(ask_for(DB), linked(DB, **given))
    assert splitting.keys == (f"fingerprint:{DB.fingerprint}",)
    assert begun(splitting)[0].correlation_key is None


def test_the_sources_own_key_stays_its_own() -> None:
    web = a_firing(9, "WebDown", service="web")
    splitting = done(ask_for(web), linked(web, keys=frozenset()))
    assert (splitting.keys, begun(splitting)[0].correlation_key) == ((f"fingerprint:{web.fingerprint}",), None)


def refused(wish: Wish, known: Linked, source: Incident | None = None) -> str:
    splitting = split(source or a_source(), wish, known, NEW, CONTEXT)
    assert isinstance(splitting, Refusal)
    assert splitting.code == "illegal_transition"
    return splitting.detail


def test_only_alerts_of_the_incident_that_are_not_over_are_split_out() -> None:
    foreign, loose, over = replace(DB, incident="INC-7"), replace(DB, incident=None), replace(DB, ends_at=NOW)
    name = DB.fingerprint
    assert refused(ask_for(DB), linked()) == f"{name} is no alert of INC-2."
    assert refused(ask_for(DB), linked(loose)) == f"{name} is no alert of INC-2."
    assert refused(ask_for(DB), linked(foreign)) == f"{name} is no alert of INC-2; it belongs to INC-7."
    assert refused(ask_for(DB), linked(over)) == f"{name} (DbDown) is over; only alerts that are not over can be split out."
    assert refused(ask_for(DB_MINOR, DB), linked(DB_MINOR)) == f"{name} is no alert of INC-2."


def test_at_least_one_alert_stays_and_the_refusal_names_the_other_way() -> None:
    said = "At least one alert must stay with INC-2. If all of it is another trouble, declare that one and merge INC-2 into it."
    assert refused(ask_for(DB), linked(DB, others=False)) == said


def test_no_alert_at_all_is_no_split() -> None:
    assert "name at least one alert" in refused(ask_for(), linked())


@pytest.mark.parametrize("state", [state for state in IncidentState if not state.open])
def test_nothing_is_split_out_of_what_is_over(state: IncidentState) -> None:
    said = refused(ask_for(DB), linked(DB), a_source(state=state))
    assert said == f"INC-2 is {state}; alerts are split out of open incidents only."
