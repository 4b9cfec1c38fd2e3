"""What does not fit together in a file is told at its places, all at once."""

import pytest

from services.config import Config
from services.config.checks import MOST_CIRCLES
from services.runtime.errors import ConfigError
from services.runtime.yamlfile import parse

ALERTS = "match: [a=b]"
SLO = f"{{name: x, {ALERTS}, query: q, degraded: {{above: 1}}, outage: {{above: 2}}}}"


def faults(text: str) -> list[str]:
    """What is wrong, one line each, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "f", Config)
    return [str(fault).removeprefix("f:") for fault in caught.value.faults]


class TestNames:
    """Each is given once."""

    @pytest.mark.parametrize(
        ("kind", "text", "path"),
        [
            ("severity rule", "severity: {rules: [{name: x, severity: S1}, {name: x, severity: S2}]}", "severity.rules.1.name"),
            ("correlation rule", "correlation: {rules: [{name: x, by: [a]}, {name: x, by: [b]}]}", "correlation.rules.1.name"),
            ("rule", "rules: [{name: x, action: open}, {name: y, action: open}, {name: x, action: open}]", "rules.2.name"),
            (
                "maintenance",
                f"maintenance: [{{name: x, {ALERTS}, starts: 2026-01-01T00:00, duration: 1h}}, "
                f"{{name: x, {ALERTS}, starts: 2026-01-02T00:00, duration: 1h}}]",
                "maintenance.1.name",
            ),
            ("SLO", f"prometheus: {{url: 'http://x'}}\nslos: [{SLO}, {SLO}]", "slos.1.name"),
            (
                "saturation",
                "prometheus: {url: 'http://x'}\nsaturation: [{name: x, query: q, above: 1}, {name: x, query: q, below: 1}]",
                "saturation.1.name",
            ),
            ("person", "people: [{id: x, name: A}, {id: x, name: B}]", "people.1.id"),
        ],
    )
    def test_two_entries_are_told_at_the_second(self, kind: str, text: str, path: str) -> None:
        (fault,) = faults(text)
        assert fault.partition(" ")[2] == f"{path}: two entries for the {kind} 'x'; expected each once"

    def test_the_same_name_in_different_lists_is_none_of_our_business(self) -> None:
        parse(b"rules: [{name: x, action: open}]\ncorrelation: {rules: [{name: x, by: [a]}]}", "f", Config)

    @pytest.mark.parametrize("name", ["open-s1-s2", "maintenance", "rate-guard"])
    def test_a_rule_is_not_called_as_one_of_our_own(self, name: str) -> None:
        said = f"{name!r} is the name of a rule of Tocsin's own; expected another one"
        assert faults(f"rules: [{{name: {name}, action: open}}]") == [f"1:10: rules.0.name: {said}"]
        assert faults(f"severity: {{rules: [{{name: {name}, severity: S1}}]}}") == [f"1:21: severity.rules.0.name: {said}"]
        assert faults(f"correlation: {{rules: [{{name: {name}, by: [a]}}]}}") == [f"1:24: correlation.rules.0.name: {said}"]

    def test_the_person_of_a_token_is_told_with_the_nearest_one(self) -> None:
        token = f"{{name: cli, sha256: {'ab' * 32}, scopes: [read], person: anne}}"
        (fault,) = faults(f"people: [{{id: ann, name: Ann}}]\naccess: {{tokens: [{token}]}}")
        assert fault.endswith("access.tokens.0.person: there is no 'anne' under people; did you mean 'ann'?")


class TestDependencies:
    """A service does not depend on itself."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{web: [web]}", ["1:22: dependencies.web.0: web depends on itself; expected other services"]),
            ("{web: [db], db: [web]}", ["1:32: dependencies.db.0: web → db → web"]),
            ("{db: [cache], web: [db], cache: [x, web]}", ["1:35: dependencies.web.0: db → cache → web → db"]),
            ("{a: [b], b: [a, c], c: [b]}", ["1:28: dependencies.b.0: a → b → a", "1:39: dependencies.c.0: b → c → b"]),
            ("{a: [a, b], b: [b, a]}", ["dependencies.a.0: a", "dependencies.b.0: b", "dependencies.b.1: a → b → a"]),
        ],
    )
    def test_a_circle_is_named_whole_where_it_closes(self, text: str, expected: list[str]) -> None:
        found = faults(f"dependencies: {text}")
        assert len(found) == len(expected)
        assert all(part in fault for part, fault in zip(expected, found, strict=True)), found

    def test_many_ways_to_one_service_are_no_circle(self) -> None:
        given = parse(b"dependencies: {web: [db, cache], cache: [db], db: [disk]}", "f", Config)
        assert given.dependencies["web"] == ["db", "cache"]

    def test_a_chain_may_be_long(self) -> None:
        chain = ", ".join(f"s{number}: [s{number + 1}]" for number in range(2_000))
        assert len(parse(f"dependencies: {{{chain}}}".encode(), "f", Config).dependencies) == 2_000
        (fault,) = faults(f"dependencies: {{{chain}, s2000: [s0]}}")
        assert "s0 → s1 → s2" in fault

    def test_where_all_depend_on_all_not_every_circle_is_told(self) -> None:
        names = [f"s{number}" for number in range(60)]
        everything = ", ".join(f"{name}: [{', '.join(names)}]" for name in names)
        assert len(faults(f"dependencies: {{{everything}}}")) == MOST_CIRCLES


class TestEvidence:
    """SLOs and saturation."""

    def test_a_query_needs_somebody_to_ask(self) -> None:
        said = "there is no prometheus section to ask; expected one with its url"
        assert faults(f"slos: [{SLO}]\nsaturation: [{{name: x, query: q, above: 1}}]") == [
            f"1:1: slos: {said}",
            f"2:1: saturation: {said}",
        ]

    @pytest.mark.parametrize(
        ("degraded", "outage", "fault"),
        [
            ("above: 1", "above: 1", "outage: expected to lie beyond degraded (above 1.0), and on the same side of it"),
            ("above: 1", "above: 0.5", "outage: expected to lie beyond degraded (above 1.0), and on the same side of it"),
            ("above: 1", "below: 0.5", "outage: expected to lie beyond degraded (above 1.0), and on the same side of it"),
            ("below: 0.9", "below: 0.95", "outage: expected to lie beyond degraded (below 0.9), and on the same side of it"),
            ("below: 0.9", "above: 1", "outage: expected to lie beyond degraded (below 0.9), and on the same side of it"),
            ("above: 1, below: 0", "above: 2", "degraded.below: expected either above or below"),
            ("", "above: 2", "degraded.below: expected either above or below"),
            ("above: .nan", "above: 2", "degraded.above: Input should be a finite number"),
            ("above: 1", "above: .inf", "outage.above: Input should be a finite number"),
            ("above: '1'", "above: 2", "degraded.above: Input should be a valid number"),
            ("above: true", "above: 2", "degraded.above: Input should be a valid number"),
        ],
    )
    def test_outage_lies_beyond_degraded(self, degraded: str, outage: str, fault: str) -> None:
        slo = f"{{name: x, {ALERTS}, query: q, degraded: {{{degraded}}}, outage: {{{outage}}}}}"
        (found,) = faults(f"prometheus: {{url: 'http://x'}}\nslos: [{slo}]")
        assert found.endswith(f" slos.0.{fault}")

    def test_an_outage_is_no_milder_than_what_comes_before_it(self) -> None:
        (found,) = faults(f"prometheus: {{url: 'http://x'}}\nslos: [{SLO[:-1]}, severity: {{degraded: S1, outage: S2}}}}]")
        assert found.endswith("slos.0.severity.outage: S2 is milder than S1 for degraded; expected one at least as severe")


class TestWindows:
    """Maintenance."""

    @pytest.mark.parametrize(
        ("text", "path", "words"),
        [
            ("starts: soon, duration: 1h", "starts", "expected one like 2026-12-01T22:00"),
            ("starts: 2026-01-01T00:00", "duration", "expected a duration or an end"),
            ("starts: 2026-01-01T00:00, duration: 1h, ends: 2026-01-01T01:00", "ends", "expected one of them"),
            ("starts: 2026-01-02T00:00, ends: 2026-01-01T01:00", "ends", "after the start"),
            ("starts: 2026-01-01T00:00, duration: 32d", "duration", "at most 31 days"),
            ("starts: 2026-01-01T00:00, duration: 1h, zone: Europe/Berln", "zone", "did you mean 'Europe/Berlin'?"),
            ("starts: 2026-01-01T00:00, duration: 1h, rrule: FREQ=SECONDLY", "rrule", "FREQ"),
            ("starts: 2026-01-01T00:00, duration: an hour", "duration", "expected a duration like 30s, 5m, 1h30m or 2d"),
        ],
    )
    def test_a_fault_of_a_window_is_told_under_its_key(self, text: str, path: str, words: str) -> None:
        (found,) = faults(f"maintenance: [{{name: x, {ALERTS}, {text}}}]")
        assert f" maintenance.0.{path}: " in found
        assert words in found

    def test_no_fault_of_a_window_hides_another(self) -> None:
        window = "starts: soon, zone: Nowhere, duration: 0s, rrule: FREQ=NEVER, colour: red"
        found = faults(f"maintenance: [{{name: x, {window}}}]")
        assert {fault.split()[1] for fault in found} == {
            "maintenance.0.match:",
            "maintenance.0.starts:",
            "maintenance.0.zone:",
            "maintenance.0.duration:",
            "maintenance.0.rrule:",
            "maintenance.0.colour:",
        }

    def test_moments_may_be_written_as_yaml_writes_them(self) -> None:
        text = f"maintenance: [{{name: x, {ALERTS}, starts: 2026-01-01T22:00:00, ends: 2026-01-03, zone: Asia/Tokyo}}]"
        (given,) = parse(text.encode(), "f", Config).maintenance
        assert given.window.starts.isoformat() == "2026-01-01T22:00:00"
        assert given.window.duration.total_seconds() == 26 * 3600


def test_one_fault_does_not_hide_another() -> None:
    text = """\
rules:
  - {name: a, match: ['a="b'], action: open}
  - {name: a, action: opn, colour: red}
dependencies: {web: [web]}
people: [{id: ann}]
slos: [{name: x}]
timers: {quiet_period: soon}
"""
    assert [fault.split()[1] for fault in faults(text)] == [
        "rules.0.match.0:",
        "rules.1.name:",
        "rules.1.action:",
        "rules.1.colour:",
        "dependencies.web.0:",
        "people.0.name:",
        "slos:",
        "slos.0.match:",
        "slos.0.query:",
        "slos.0.degraded:",
        "slos.0.outage:",
        "timers.quiet_period:",
    ]
