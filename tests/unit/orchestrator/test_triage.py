"""Are we having one? The verdict, its reasons, and what to type, at three in the morning."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.vocabulary import FiringState, IncidentState, Severity
from services.matching import selector
from services.orchestrator.domain.evidence.covering import covering
from services.orchestrator.domain.evidence.evidence import Level, Saturation, Slo, SloState, Threshold
from services.orchestrator.domain.evidence.picture import OpenIncident, Picture, Tally, UnderWay
from services.orchestrator.domain.evidence.triage import Assessment, assess
from tests.builders import NOW, minutes

S1, S2, S3 = Severity.S1, Severity.S2, Severity.S3
SLO = Slo("web-errors", selector(['service="web"']), "q", Threshold(above=0.01), Threshold(above=0.1))
DISK = Saturation("disk", "q", Threshold(above=0.9))
ALL_WELL = Picture(NOW, slos=[(SLO, SloState("web-errors", Level.OK, 0.0, NOW, "fine", NOW, Level.OK))], prometheus=True)
INC_1 = OpenIncident("INC-1", IncidentState.ACTIVE, S1, ("web",))


def firing(service: str | None = "web", severity: Severity | None = S1, incident: str | None = None, count: int = 1) -> Tally:
    return Tally(service, FiringState.FIRING, severity, incident, count, NOW - minutes(14))


def level(level: Level, leaning: Level | None = None, slo: Slo = SLO) -> tuple[Slo, SloState]:
    return slo, SloState(slo.name, level, 0.5, NOW, f"{slo.name} is {level}", NOW, leaning or level)


def saturated(level: Level = Level.DEGRADED) -> tuple[Saturation, SloState]:
    return DISK, SloState("disk", level, 0.95, NOW, f"disk is {level}", NOW, level)


def seen(**more: object) -> Assessment:
    """What is made of a picture in which all is well but this."""
    return assess(replace(ALL_WELL, **more))  # type: ignore[arg-type]


class TestVerdict:
    def test_it_is_quiet_only_when_everything_is_seen_and_fine(self) -> None:
        told = seen()
        assert (told.verdict, told.reasons, told.start) == ("quiet", (), None)
        assert told.summary == "No: nothing fires, and every service level and resource is within its lines."

    @pytest.mark.parametrize(
        ("picture", "verdict"),
        [
            ({"incidents": [INC_1]}, "incident"),
            ({"slos": [level(Level.OUTAGE)]}, "incident"),
            ({"incidents": [replace(INC_1, state=IncidentState.MITIGATED)]}, "incident"),
            ({"incidents": [replace(INC_1, state=IncidentState.TRIAGE)]}, "likely"),
            ({"slos": [level(Level.DEGRADED)]}, "likely"),
            ({"saturation": [saturated()]}, "likely"),
            ({"alerts": [firing(severity=S2)]}, "likely"),
            ({"alerts": [firing(severity=S3)]}, "unclear"),
            ({"alerts": [firing(severity=None)]}, "unclear"),
            ({"slos": [level(Level.OK, Level.OUTAGE)]}, "unclear"),
            ({"alerts": [Tally("web", FiringState.STALE, S1, None, 1, NOW)]}, "unclear"),
            ({"alerts": [Tally("web", FiringState.MUTED, S1, None, 1, NOW)]}, "quiet"),
            ({"maintenance": [UnderWay("db upgrade", NOW + minutes(60))]}, "quiet"),
        ],
    )
    def test_what_it_takes(self, picture: dict[str, object], verdict: str) -> None:
        assert seen(**picture).verdict == verdict

    def test_a_drill_is_mentioned_and_hides_nothing(self) -> None:
        drill = replace(INC_1, drill=True)
        assert (seen(incidents=[drill]).verdict, seen(incidents=[drill]).reasons) == ("quiet", ("INC-1 is a drill for web",))
        told = seen(incidents=[drill], alerts=[firing()], slos=[level(Level.OUTAGE)])
        assert (told.verdict, told.summary) == ("incident", "Yes, and nobody has started an incident yet.")
        assert told.start is not None

    @pytest.mark.parametrize(
        ("picture", "reason"),
        [
            ({"prometheus": False}, "no Prometheus is configured: Tocsin cannot see how the services are"),
            ({"slos": []}, "no SLO is configured: Tocsin cannot see how the services are"),
            ({"slos": [level(Level.UNKNOWN)]}, "web-errors is unknown"),
            ({"saturation": [saturated(Level.UNKNOWN)]}, "disk is unknown"),
        ],
    )
    def test_what_cannot_be_seen_never_counts_as_fine(self, picture: dict[str, object], reason: str) -> None:
        told = seen(**picture)
        assert (told.verdict, told.start) == ("unclear", None)
        assert told.reasons[0].startswith(reason)
        assert told.summary == "Nothing speaks for it, but not everything can be seen."

    @pytest.mark.parametrize(
        ("picture", "summary"),
        [
            ({"incidents": [INC_1]}, "Yes: INC-1 is open."),
            ({"incidents": [INC_1], "saturation": [saturated()]}, "Yes: INC-1 is open. Something else has no incident yet."),
            ({"incidents": [replace(INC_1, id=f"INC-{n}") for n in range(5)]}, "Yes: INC-0, INC-1, INC-2 and 2 others are open."),
            ({"slos": [level(Level.OUTAGE)]}, "Yes, and nobody has started an incident yet."),
            ({"alerts": [firing()]}, "Probably. It is better to start one than to wait."),
            ({"incidents": [replace(INC_1, state=IncidentState.TRIAGE)]}, "Probably: INC-1 is in triage."),
            ({"alerts": [firing(severity=S3)]}, "There are signs, none of them strong."),
        ],
    )
    def test_it_is_said_in_a_sentence(self, picture: dict[str, object], summary: str) -> None:
        assert seen(**picture).summary == summary


class TestReasons:
    def test_alerts_are_counted_with_their_age_and_their_incident(self) -> None:
        many = [firing(count=2), firing(severity=S3), firing(severity=None), Tally("web", FiringState.STALE, S1, None, 3, NOW)]
        assert seen(alerts=many).reasons == (
            "web: 2 S1 and 1 S3 and 1 unrated alerts firing, the oldest for 14 minutes; no open incident is about it",
            "web: 3 alerts not heard of for long, whether still firing is not known",
        )
        assert seen(alerts=[firing(incident="INC-7")], incidents=[replace(INC_1, id="INC-7")]).reasons == (
            "INC-7 is active, S1 for web",
            "web: 1 S1 alert firing for 14 minutes; see INC-7",
        )

    def test_the_gravest_comes_first_and_what_has_no_incident_before_what_has(self) -> None:
        told = seen(
            incidents=[INC_1],
            alerts=[firing(), firing("db", S3)],
            slos=[level(Level.OUTAGE, slo=replace(SLO, name="api-errors", selector=selector(['service="api"'])))],
        )
        assert [reason.split(":")[0].split(" is")[0] for reason in told.reasons] == ["api-errors", "INC-1", "web", "db"]

    def test_many_of_a_kind_are_counted(self) -> None:
        told = seen(alerts=[firing(f"service-{number}") for number in range(12)])
        assert len(told.reasons) == 6
        assert told.reasons[-1] == "and 7 more services"
        assert len(told.services) == 12
        assert seen(alerts=[firing(f"service-{number}") for number in range(6)]).reasons[-1] == "and 1 more service"

    def test_planned_work_is_mentioned(self) -> None:
        assert seen(maintenance=[UnderWay("db upgrade", NOW + minutes(60))]).reasons == (
            "planned work is under way: db upgrade, ends in 1 hour",
        )


class TestWhatToType:
    @pytest.mark.parametrize(
        ("picture", "command"),
        [
            ({"slos": [level(Level.OUTAGE)]}, "'web-errors: outage' --severity s1 --service=web"),
            ({"slos": [level(Level.DEGRADED)]}, "'web-errors: degraded' --severity s2 --service=web"),
            ({"slos": [level(Level.OK, Level.DEGRADED)]}, "'web-errors: may be degraded' --severity s2 --service=web"),
            ({"saturation": [saturated()]}, "'disk: saturated' --severity s3"),
            ({"alerts": [firing(count=3)]}, "'web: 3 alerts firing' --severity s1 --service=web"),
            ({"alerts": [firing(), firing("db", S2)]}, "'web: 1 alert firing' --severity s1 --service=web --service=db"),
            ({"alerts": [firing(), firing("db", S3)]}, "'web: 1 alert firing' --severity s1 --service=web"),
            ({"alerts": [firing(severity=None)]}, "'web: 1 alert firing' --severity s3 --service=web"),
            ({"alerts": [firing(None)]}, "'alerts without a service: 1 alert firing' --severity s1"),
        ],
    )
    def test_what_has_no_incident_can_be_started(self, picture: dict[str, object], command: str) -> None:
        start = seen(**picture).start
        assert start is not None
        assert start.command == f"tocsin incident declare {command}"

    @pytest.mark.parametrize(
        "picture",
        [
            {"alerts": [firing()], "incidents": [INC_1]},
            {"alerts": [firing("db", incident="INC-1")], "incidents": [INC_1]},
            {"slos": [level(Level.OUTAGE)], "incidents": [INC_1]},
            {"alerts": [firing()], "incidents": [replace(INC_1, state=IncidentState.TRIAGE)]},
        ],
    )
    def test_what_an_open_incident_is_about_is_not_started_again(self, picture: dict[str, object]) -> None:
        assert seen(**picture).start is None

    @pytest.mark.parametrize("service", ["$(reboot)", "a'; reboot; '", "-x", "--help", "a\nb", "`x`", "web\x1b[2J", "ü x"])
    def test_hostile_names_stay_words_of_the_shell(self, service: str) -> None:
        start = seen(alerts=[firing(service)]).start
        assert start is not None
        words = shlex.split(start.command)
        assert words[:3] == ["tocsin", "incident", "declare"]
        assert words[4:] == ["--severity", "s1", f"--service={start.services[0]}"]
        assert not words[3].startswith("-")
        assert start.command.isprintable()


class TestCovering:
    @pytest.mark.parametrize(
        ("matchers", "services", "environment", "severity", "covered"),
        [
            (['service="web"'], ("web",), None, S3, True),
            (['service="web"'], ("db",), None, S1, False),
            (['service="web"', 'env="gprd"'], ("web",), "gprd", S3, True),
            (['service="web"', 'env="gprd"'], ("web",), "test", S1, False),
            (['service="web"', 'env="gprd"'], ("web",), None, S1, True),
            (['service="web"', 'env="gprd"', 'cluster="eu"'], ("web",), "gprd", S1, True),
            (['service=~"web|api"', 'team="x"'], ("db", "api"), None, S1, True),
            (['job="web"'], ("web",), None, S1, True),
            (['service!="db"'], ("db",), None, S1, False),
            (['env="gprd"'], ("db",), "gprd", S1, True),
            (['env="gprd"'], ("db",), "gprd", S2, False),
            ([], (), None, S1, True),
        ],
    )
    def test_an_incident_is_about_an_slo_by_its_services_and_environment(
        self, matchers: Sequence[str], services: tuple[str, ...], environment: str | None, severity: Severity, covered: bool
    ) -> None:
        slo, state = level(Level.OUTAGE, slo=replace(SLO, selector=selector(matchers)))
        incident = OpenIncident("INC-1", IncidentState.ACTIVE, severity, services, environment)
        assert covering(slo, state, Picture(NOW, incidents=[incident])) == (("INC-1",) if covered else ())

    def test_a_level_that_is_fine_or_unknown_needs_none(self) -> None:
        for each in (Level.OK, Level.UNKNOWN):
            assert covering(*level(each), Picture(NOW, incidents=[INC_1])) == ()


def test_a_storm_of_ten_thousand_services_is_assessed_within_two_seconds() -> None:
    alerts = [firing(f"service-{number}", S2, f"INC-{number}") for number in range(10_000)]
    incidents = [replace(INC_1, id=f"INC-{number}", services=(f"service-{number}",)) for number in range(10_000)]
    slos = [level(Level.OUTAGE, slo=replace(SLO, name=f"slo-{number}")) for number in range(10)]
    begun = time.monotonic()
    told = seen(alerts=alerts, incidents=incidents, slos=slos)
    assert time.monotonic() - begun < 2.0
    assert len(told.reasons) < 20


def test_oldest_and_order_of_services() -> None:
    alerts = [
        firing("a", S3, count=9),
        firing("b", S1),
        replace(firing("b", S2), oldest=NOW - timedelta(hours=1)),
        firing("c", None),
    ]
    told = seen(alerts=[*alerts, Tally("d", FiringState.MUTED, S1, None, 5, NOW)])
    assert [(each.service, each.worst) for each in told.services] == [("b", S1), ("a", S3), ("c", None), ("d", None)]
    assert told.services[0].oldest == NOW - timedelta(hours=1)
    assert (told.services[3].muted, told.services[3].oldest) == (5, None)
