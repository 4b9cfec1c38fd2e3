"""What a replay tells of incidents: which would open, which would not, earlier or later, worse or milder, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from schemas.alerts import AlertReceived
from schemas.incidents import Incident, Opened, SeverityChanged
from schemas.vocabulary import Action, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.evidence.evidence import Level, Slo, Threshold
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import EVERYTHING, Breadth, DecisionRule, SeverityRule
from services.orchestrator.domain.trying.comparing import Decided, Difference, Later, Recorded, Report, What, differences
from services.orchestrator.domain.trying.replaying import Heard, Known, Ordered, Replay, Told
from tests.builders import ANN, NOW, POLICY, an_alert, minutes, resolved
from tests.support.desk import Desk

S3 = frozenset({Severity.S3})
QUIET, ALOUD = DecisionRule("small", EVERYTHING, Action.TRIAGE, S3), DecisionRule("small", EVERYTHING, Action.OPEN, S3)
TWO = SeverityRule("two-hosts", EVERYTHING, Severity.S2, Breadth("instance", 2, minutes(10)))
LAB = DecisionRule("lab", selector(['env="lab"']), Action.RECORD)


@dataclass(frozen=True)
class Found:
    """What a replay came to."""

    report: Report
    replayed: Mapping[str, Incident]
    differences: Sequence[Difference]

    @property
    def told(self) -> list[tuple[str, ...]]:
        return [(each.what, each.incident, each.was, each.would_be) for each in self.differences]


class Past:
    """What was decided at a desk, as the log has it."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.desk, self.steps = Desk(policy), list[Heard | Ordered]()

    def hear(self, *alerts: AlertReceived, at: float = 0, **levels: Level) -> None:
        """At so many minutes."""
        now = NOW + minutes(at)
        made = [firing.decision for firing in self.desk.take(*alerts, now=now).began if firing.decision]
        decided = {each.seq: Decided(each.seq, each.action, each.incident, each.severity, each.rule) for each in made}
        told = [Told(each.fingerprint, each.status, each.labels, each.starts_at, each.ends_at, now) for each in alerts]
        self.steps.append(Heard(now, told, decided, {name.replace("_", "-"): level for name, level in levels.items()}))

    def order(self, name: str, step: Step, at: float) -> None:
        done = self.desk.ask(name, ask.Move(step), NOW + minutes(at))
        assert isinstance(done, list)
        self.steps += [Ordered(NOW + minutes(at), name, event.type, event.change, ANN, "because") for event in done]

    def under(self, policy: Policy, *, since: float = 0, until: float = 600) -> Found:
        """Replayed under another policy."""
        later = {turn.seq: Later(turn.incident, turn.at) for turn in self.desk.turns if turn.event == "opened" and turn.incident}
        replay = Replay(policy, Known(1, 1, NOW + minutes(since), later))
        for step in self.steps:
            replay.play(step)
        self.desk.tick(NOW + minutes(until))
        report, world = replay.finish(NOW + minutes(until)), replay.simulation.world
        return Found(report, world.incidents, differences(report, self._recorded(), world.incidents))

    def _recorded(self) -> dict[str, Recorded]:
        raised = {event.incident.id: event.reason for event in self.desk.events if event.type == SeverityChanged.TYPE}
        begun = {event.incident.id: event.change["state"] for event in self.desk.events if event.type == Opened.TYPE}
        return {
            name: Recorded(incident, begun[name] == IncidentState.TRIAGE, raised.get(name, ""))
            for name, incident in self.desk.incidents.items()
        }


def small(instance: str = "1", *, at: float = 0, env: str = "gprd") -> AlertReceived:
    return an_alert("Slow", severity="s3", instance=instance, env=env, starts_at=NOW + minutes(at))


def test_under_the_same_policy_all_is_the_same() -> None:
    past = Past(replace(POLICY, severity_rules=(TWO,), rules=(QUIET,)))
    past.hear(small())
    past.hear(small("2"), at=1)
    past.hear(resolved(small(), NOW + minutes(5)), an_alert("Down", service="db"), at=5)
    past.order("INC-1", Step.RESOLVE, 9)
    found = past.under(past.desk.policy)
    assert (found.report.decisions, found.report.same, found.report.by_another_rule) == (3, 3, 0)
    assert (found.differences, found.report.inapplicable) == ([], {})


def test_what_only_the_replay_opens_has_a_name_of_its_own() -> None:
    past = Past()
    past.hear(small())
    past.hear(an_alert("Down", service="db"), at=1)
    found = past.under(replace(POLICY, rules=(ALOUD,)))
    assert found.told == [(What.OPENS, "NEW-1", "nothing", "S3")]
    assert found.differences[0].why.endswith("no open incident has this key, and rule small opens one.")
    assert found.report.counterparts == {"INC-1": "INC-2"}


def test_what_would_not_open_says_what_comes_of_it_instead() -> None:
    past = Past()
    past.hear(an_alert("Down", env="lab"))
    past.hear(an_alert("Slow", severity="s2"), at=1)
    found = past.under(replace(POLICY, rules=(LAB,), dependencies={}))
    assert found.told == [(What.OPENS_NOT, "INC-1", "S1", "nothing")]
    assert found.differences[0].why == "S1 alert Down (service=web,env=lab): rule lab says record."


def test_what_joins_another_incident_names_it_as_it_was_recorded() -> None:
    past = Past()
    past.hear(an_alert("Lab", env="lab"))
    past.hear(an_alert("Down", service="db"), at=1)
    past.hear(an_alert("Errors"), at=2)
    past.hear(small(), at=3)
    found = past.under(replace(POLICY, rules=(LAB,), dependencies={"web": ("db",)}))
    assert found.told[1:] == [(What.OPENS_NOT, "INC-3", "S1", "joins INC-2")]
    assert found.differences[1].why.endswith("joins INC-2: web which depends on db.")
    assert (found.report.same, found.report.changes) == (2, {("open", "record"): 1, ("open", "attach"): 1})


def test_the_same_incident_may_open_earlier_or_later() -> None:
    past = Past(replace(POLICY, severity_rules=(TWO,)))
    past.hear(small())
    past.hear(small("2"), at=4)
    assert past.under(replace(POLICY, rules=(ALOUD,))).told == [(What.OPENS_EARLIER, "INC-1", "S2", "S3, 4 minutes earlier")]
    past = Past(replace(POLICY, rules=(ALOUD,)))
    past.hear(small())
    past.hear(small("2"), at=4)
    assert past.under(replace(POLICY, severity_rules=(TWO,))).told == [(What.OPENS_LATER, "INC-1", "S3", "S2, 4 minutes later")]


def test_an_incident_that_is_worse_or_milder_says_why() -> None:
    past = Past(replace(POLICY, rules=(ALOUD,)))
    past.hear(small())
    past.hear(small("2"), at=1)
    worse = past.under(replace(POLICY, rules=(ALOUD,), severity_rules=(TWO,)))
    assert worse.told == [(What.SEVERITY, "INC-1", "S3", "S2")]
    reason = "S3 → S2: second instance firing within 10m (1, 2), rule two-hosts"
    assert worse.differences[0].why == reason
    past = Past(replace(POLICY, rules=(ALOUD,), severity_rules=(TWO,)))
    past.hear(small())
    past.hear(small("2"), at=1)
    milder = past.under(replace(POLICY, rules=(ALOUD,)))
    assert milder.told == [(What.SEVERITY, "INC-1", "S2", "S3")]
    assert milder.differences[0].why == f"No longer: {reason}"


def test_triage_instead_of_a_page_is_a_difference() -> None:
    past = Past(replace(POLICY, rules=(ALOUD,)))
    past.hear(small())
    assert past.under(replace(POLICY, rules=(QUIET,))).told == [(What.QUIETER, "INC-1", "S3", "S3 in triage")]
    past = Past(replace(POLICY, rules=(QUIET,)))
    past.hear(small())
    assert past.under(replace(POLICY, rules=(ALOUD,))).told == [(What.LOUDER, "INC-1", "S3 in triage", "S3")]


def test_what_time_alone_opened_is_the_same_incident_and_people_may_act_on_it() -> None:
    lasting = SeverityRule("lasting", EVERYTHING, Severity.S2, persists=minutes(30))
    past = Past(replace(POLICY, severity_rules=(lasting,)))
    past.hear(small())
    past.order("INC-1", Step.RESOLVE, 40)
    found = past.under(past.desk.policy)
    assert (found.differences, found.report.inapplicable) == ([], {})
    assert found.replayed["INC-1"].resolved_at == NOW + minutes(40)


def test_what_people_did_to_an_incident_that_is_not_there_is_counted() -> None:
    past = Past()
    past.hear(an_alert("Down", env="lab"))
    past.order("INC-1", Step.RESOLVE, 5)
    assert past.under(replace(POLICY, rules=(LAB,))).report.inapplicable == {"resolved": 1}


def test_an_incident_that_nobody_sees_is_over_when_mitigation_would_be_proposed() -> None:
    past = Past()
    past.hear(small())
    past.hear(resolved(small(), NOW + minutes(3)), at=3)
    found = past.under(replace(POLICY, rules=(ALOUD,)))
    assert (found.replayed["INC-1"].state, found.replayed["INC-1"].resolved_at) == (IncidentState.RESOLVED, NOW + minutes(8))


def test_only_what_was_decided_since_then_counts() -> None:
    past = Past()
    past.hear(small())
    past.hear(small(at=9, env="lab"), at=9)
    found = past.under(replace(POLICY, rules=(ALOUD,)), since=5)
    assert (found.report.decisions, found.report.changes) == (1, {("record", "open"): 1})
    assert found.told == [(What.OPENS, "NEW-2", "nothing", "S3")]


def test_the_same_by_another_rule_is_the_same_and_is_counted() -> None:
    past = Past(replace(POLICY, rules=(ALOUD,)))
    past.hear(small())
    report = past.under(replace(POLICY, rules=(replace(ALOUD, name="renamed"),))).report
    assert (report.same, report.by_another_rule, report.changes) == (1, 1, {})


def test_another_severity_of_an_alert_and_another_incident_are_changes() -> None:
    past = Past()
    past.hear(an_alert("Down"), small())
    past.hear(an_alert("Down", service="db"), an_alert("Slow", severity="s4", service="db"), at=1)
    found = past.under(replace(POLICY, severity_rules=(replace(TWO, breadth=None),), dependencies={"db": ("web",)}))
    assert found.report.changes == {
        ("attach as S3", "attach as S2"): 1,
        ("open", "attach"): 1,
        ("attach as S4", "attach as S2"): 1,
    }


def test_a_service_level_raises_as_soon_as_a_decision_has_seen_it() -> None:
    slo = Slo("web-errors", selector(['service="web"']), "up", Threshold(above=0.1), Threshold(above=0.5))
    past = Past()
    past.hear(small(), web_errors=Level.OK)
    past.hear(an_alert("Other", severity="s4", env="lab"), at=5, web_errors=Level.OUTAGE)
    found = past.under(replace(POLICY, slos=(slo,)))
    assert found.told == [(What.OPENS, "NEW-1", "nothing", "S1"), (What.OPENS, "NEW-2", "nothing", "S1")]
    assert found.differences[0].at == NOW + minutes(5)
    assert found.report.levels == {"web-errors"}


def test_a_service_level_that_was_seen_long_ago_is_not_known() -> None:
    slo = Slo("web-errors", selector(['service="web"']), "up", Threshold(above=0.1), Threshold(above=0.5))
    past = Past()
    past.hear(an_alert("Other", severity="s4", env="lab", service="api"), web_errors=Level.OUTAGE)
    past.hear(small(at=59), at=59)
    past.hear(small("2", at=61, env="other"), at=61)
    found = past.under(replace(POLICY, slos=(slo,)))
    assert found.told == [(What.OPENS, "NEW-1", "nothing", "S1")]
