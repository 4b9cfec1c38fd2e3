"""`tocsin.yaml`: what it means, and every fault at its line and column."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import Field

from schemas.vocabulary import Severity
from services.config import DEFAULT_MAP, Config, ConfigFile
from services.runtime.errors import ConfigError
from services.runtime.yamlfile import Duration, Section, parse, parse_duration

SHA = "ab" * 32


def faults(text: str | bytes) -> list[str]:
    """What is wrong, one line each, without the file's name."""
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        parse(raw, "tocsin.yaml", Config)
    lines = [str(fault) for fault in caught.value.faults]
    assert str(caught.value) == "\n".join(lines)
    assert all(line.startswith("tocsin.yaml:") for line in lines)
    return [line.removeprefix("tocsin.yaml:") for line in lines]


def config(text: str) -> Config:
    return parse(text.encode(), "tocsin.yaml", Config)


class TestMeaning:
    """A file without faults."""

    @pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}", "null"])
    def test_an_empty_file_is_all_defaults(self, text: str) -> None:
        assert config(text) == Config()

    def test_the_defaults_are_a_policy(self) -> None:
        given = Config()
        assert (given.severity.label, given.severity.map) == ("severity", DEFAULT_MAP)
        assert given.correlation.by == ["service", "env"]
        assert (given.timers.quiet_period, given.timers.refire_window) == (timedelta(minutes=5), timedelta(minutes=30))
        assert (given.slack, given.access.tokens, given.people) == (None, [], [])

    def test_every_section(self) -> None:
        given = config(
            f"""
            severity: {{label: level, map: {{page: S1, ticket: S4}}}}
            correlation: {{by: [team]}}
            timers: {{quiet_period: 1h30m, refire_window: 2d}}
            slack: {{token_file: /run/slack, channel: "#ops", api_url: "http://127.0.0.1:1/api/"}}
            access: {{tokens: [{{name: cli, sha256: {SHA}, scopes: [read, respond], person: ann}}]}}
            people: [{{id: ann, name: Ann, slack: U123, email: ann@example.com}}]
            """
        )
        assert given.severity.map == {"page": Severity.S1, "ticket": Severity.S4}
        assert (given.timers.quiet_period, given.timers.refire_window) == (timedelta(minutes=90), timedelta(days=2))
        assert given.slack is not None
        assert (given.slack.token_file, given.slack.channel) == (Path("/run/slack"), "#ops")
        assert (given.access.tokens[0].person, given.people[0].id) == ("ann", "ann")


class TestFaults:
    """Each is found where it stands."""

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("severty: {}", "1:1: severty: unknown key; did you mean 'severity'?"),
            ("timers:\n  quiet_perod: 5m", "2:3: timers.quiet_perod: unknown key; did you mean 'quiet_period'?"),
            (
                "zebra: 1",
                "1:1: zebra: unknown key; expected one of access, alertmanager, correlation, dependencies, feeds, flapping, "
                "guard, include, maintenance, people, prometheus, rotations, rules, saturation, severity, shadow, slack, slos, "
                "timers, triage",
            ),
            ("flapping:\n  often: 3", "2:3: flapping.often: unknown key; expected one of count, within"),
            (
                "persists: 5m",
                "1:1: persists: unknown key; did you mean 'severity.rules[].persists' or 'triage.promote.persists'?",
            ),
            ("slos: {name: x}", "1:1: slos: Input should be a valid list"),
            ("guard: 7", "1:1: guard: Input should be a valid dictionary"),
            ("rules: [7]", "1:9: rules.0: Input should be a valid dictionary"),
            ("people:\n- {id: a, name: A, mail: x}", "2:20: people.0.mail: unknown key; did you mean 'email'?"),
            ("severity:\n  label: 7", "2:3: severity.label: Input should be a valid string"),
            ("severity:\n  label: ''", "2:3: severity.label: String should have at least 1 character"),
            ("severity:\n  map:\n    page: S7", "3:5: severity.map.page: Input should be 'S1', 'S2', 'S3' or 'S4'"),
            (
                "severity:\n  map:\n    page: s1",
                "3:5: severity.map.page: Input should be 'S1', 'S2', 'S3' or 'S4'; did you mean 'S1'?",
            ),
            ("severity: {floor: 1}", "1:12: severity.floor: Input should be a valid boolean"),
            ("flapping: {count: 1}", "1:12: flapping.count: Input should be greater than or equal to 2"),
            ("flapping: {count: 101}", "1:12: flapping.count: Input should be less than or equal to 100"),
            ("flapping: {count: '4'}", "1:12: flapping.count: Input should be a valid integer"),
            ("flapping: {within: 0s}", "1:12: flapping.within: expected a duration between 1s and 30d"),
            ("guard: {openings: 0}", "1:9: guard.openings: Input should be greater than or equal to 1"),
            ("guard: {openings: 1001}", "1:9: guard.openings: Input should be less than or equal to 1000"),
            ("timers: {stale_after: 31d}", "1:10: timers.stale_after: expected a duration between 1s and 30d"),
            (
                "triage: {promote: {breadth: {at_least: 1}}}",
                "1:30: triage.promote.breadth.at_least: Input should be greater than or equal to 2",
            ),
            ("triage: {promote: {severity: S5}}", "1:20: triage.promote.severity: Input should be 'S1', 'S2', 'S3' or 'S4'"),
            ("alertmanager: {urls: []}", "1:16: alertmanager.urls: List should have at least 1 item after validation, not 0"),
            (
                "alertmanager: {urls: ['http://a:b@c']}",
                "1:23: alertmanager.urls.0: expected an address like http://prometheus:9090, without user, password or query",
            ),
            (
                "prometheus: {url: 'http://x:99999'}",
                "1:14: prometheus.url: expected an address like http://prometheus:9090, without user, password or query",
            ),
            (
                "prometheus: {url: 'http://x', timeout: 2m}",
                "1:31: prometheus.timeout: expected a duration between 1s and 1m",
            ),
            (
                "prometheus: {url: 'http://x', token_file: t, username: u, password_file: p}",
                "1:46: prometheus.username: is given beside token_file; expected one of them",
            ),
            (
                "prometheus: {url: 'http://x', password_file: p}",
                "1:31: prometheus.password_file: expected username and password_file together, or none of them",
            ),
            ("slack: {token_file: 7}", "1:9: slack.token_file: expected the path of a file"),
            ("dependencies: {web: db}", "1:16: dependencies.web: Input should be a valid list"),
            ("dependencies: {'': [db]}", "1:16: dependencies.: String should have at least 1 character"),
            ("correlation: {by: []}", "1:15: correlation.by: List should have at least 1 item after validation, not 0"),
            ("correlation: {by: [a, 7]}", "1:23: correlation.by.1: Input should be a valid string"),
            ("correlation: {by: env}", "1:15: correlation.by: Input should be a valid list"),
            ("timers:\n  quiet_period: 5", "2:3: timers.quiet_period: expected a duration like 30s, 5m, 1h30m or 2d"),
            ("timers:\n  quiet_period: 8d", "2:3: timers.quiet_period: expected a duration between 0s and 7d"),
            ("access:\n  tokens: {}", "2:3: access.tokens: Input should be a valid list"),
            ("slack: {api_url: ftp://x}", "1:9: slack.api_url: String should match pattern '^https?://\\S+$'"),
            ("people: [{id: a, name: A, slack: nobody}]", "1:27: people.0.slack: String should match pattern '^[UW][A-Z0-9]+$'"),
            ("people:\n  - id: a\n", "2:5: people.0.name: Field required"),
        ],
    )
    def test_a_wrong_value(self, text: str, fault: str) -> None:
        assert faults(text) == [fault]

    @pytest.mark.parametrize("sha", ["abc", "AB" * 32, "xy" * 32, SHA + "0"])
    def test_a_hash_that_is_none(self, sha: str) -> None:
        (fault,) = faults(f'access:\n  tokens:\n    - name: cli\n      sha256: "{sha}"\n      scopes: [read]\n')
        assert fault == "4:7: access.tokens.0.sha256: String should match pattern '^[0-9a-f]{64}$'"

    def test_a_scope_that_is_none(self) -> None:
        (fault,) = faults(f"access: {{tokens: [{{name: a, sha256: {SHA}, scopes: [read, write]}}]}}")
        assert fault.startswith("1:")
        assert fault.endswith("access.tokens.0.scopes.1: Input should be 'alerts', 'read', 'respond' or 'admin'")

    def test_names_that_do_not_agree_are_all_told_at_their_places(self) -> None:
        token = f"sha256: {SHA}, scopes: [read]"
        text = f"""\
people:
  - {{id: ann, name: Ann}}
  - {{id: bob, name: Bob}}
  - {{id: ann, name: Ann again}}
access:
  tokens:
    - {{name: cli, {token}, person: eve}}
    - {{name: cli, {token}, person: bob}}
    - {{name: ci, {token}, person: zoe}}
"""
        place = len(f"    - {{name: cli, {token}, ") + 1
        assert faults(text) == [
            "4:6: people.2.id: two entries for the person 'ann'; expected each once",
            f"7:{place}: access.tokens.0.person: there is no 'eve' under people",
            "8:8: access.tokens.1.name: two entries for the token 'cli'; expected each once",
            f"9:{place - 1}: access.tokens.2.person: there is no 'zoe' under people",
        ]

    def test_a_key_given_twice(self) -> None:
        assert faults("timers: {}\nseverity:\n  label: a\n  label: b\ntimers: {}\n") == [
            "4:3: label: is given twice",
            "5:1: timers: is given twice",
        ]

    def test_all_at_once_in_the_order_of_the_file(self) -> None:
        text = "severity:\n  label: 7\n  labell: x\ntimers:\n  quiet_period: soon\n  quiet_period: never\nzebra: 1\n"
        assert [fault.split(" ")[0] for fault in faults(text)] == ["2:3:", "3:3:", "6:3:", "6:3:", "7:1:"]

    @pytest.mark.parametrize("text", ["- a\n- b", "just words", "7"])
    def test_a_file_that_is_no_mapping(self, text: str) -> None:
        (fault,) = faults(text)
        assert fault.startswith("1:1: the file: Input should be a valid dictionary")

    def test_what_is_not_yaml(self) -> None:
        assert faults("severity: {label: x\ntimers: ]") == ["2:7: expected ',' or '}', but got ':'"]
        assert faults("a: b\n\tc: d")[0].startswith("2:1: found character '\\t' that cannot start any token")
        assert faults("a: &x 1\nb: *y") == ["2:4: found undefined alias 'y'"]
        assert faults("a: !!python/object:os.system x")[0].startswith("1:4: could not determine a constructor")
        assert faults("a: 1\n--- \nb: 2")[0].startswith("2:1: but found another document")

    def test_a_date_that_is_none(self) -> None:
        assert faults("severity: {label: 2026-99-99}") == ["0:0: is not YAML: month must be in 1..12"]

    def test_what_is_not_utf8(self) -> None:
        assert faults(b"severity:\n  label: caf\xe9\n") == ["2:13: is not UTF-8 (byte 22 of the file)"]
        assert faults("severity: {}".encode("utf-16"))[0] == "1:1: is not UTF-8 (byte 0 of the file)"

    @pytest.mark.parametrize("text", ["a: \x00", "1: x", "true: x", "? [a]\n: b", "? {a: b}\n: c", "null: x", "2026-01-01: x"])
    def test_strange_keys_and_characters_are_faults_and_no_crash(self, text: str) -> None:
        assert len(faults(text)) == 1


class TestDurations:
    """As Prometheus writes them."""

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1d1h1m1s", 90_061), ("0s", 0), (" 5m ", 300)],
    )
    def test_what_they_mean(self, text: str, seconds: int) -> None:
        assert parse_duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "wrong", ["", " ", "5", "m", "5 m", "-5m", "1.5h", "5m1h", "5M", "5ms", "٥m", "99999999999999d", 5, None, True, ["5m"]]
    )
    def test_what_is_none(self, wrong: object) -> None:
        with pytest.raises(ValueError, match="expected a duration like 30s, 5m, 1h30m or 2d"):
            parse_duration(wrong)


class TestAFile:
    """Reading, hashing, reloading."""

    def test_the_hash_is_that_of_its_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "tocsin.yaml"
        path.write_text("")
        empty = ConfigFile.open(path)
        path.write_text("# a word\n")
        assert empty.hash == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert ConfigFile.open(path).hash != empty.hash
        assert ConfigFile.open(path).hash == ConfigFile.open(path).hash

    def test_without_a_file_the_hash_is_always_the_same(self) -> None:
        first, second = ConfigFile.open(None), ConfigFile.open(None)
        second.reload()
        assert (first.config, first.hash) == (Config(), second.hash)
        assert len(first.hash) == len("sha256:") + 64

    def test_reloading_swaps_it_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "tocsin.yaml"
        path.write_text("severity: {label: one}")
        file = ConfigFile.open(path)
        before = file.config, file.hash
        path.write_text("severity: {label: two}\nzebra: 1")
        with pytest.raises(ConfigError, match="zebra"):
            file.reload()
        assert (file.config, file.hash) == before
        path.write_text("severity: {label: two}")
        file.reload()
        assert file.config.severity.label == "two"
        assert file.hash != before[1]

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
            with pytest.raises(ConfigError) as caught:
                ConfigFile.open(path)
            assert str(caught.value) == f"{path}:0:0: cannot be read: {reason}"


class Inner(Section):
    """A section in a list."""

    wait: Duration


class Outer(Section):
    """A file of another kind."""

    inner: list[Inner] = Field(default_factory=list)
    maybe: Inner | None = None


def test_any_model_can_be_read_and_a_fault_deep_inside_is_found() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(b"inner:\n  - wait: 5m\n  - wait: x\nmaybe:\n  wayt: 5m\n", "f", Outer)
    assert [str(fault) for fault in caught.value.faults] == [
        "f:3:5: inner.1.wait: expected a duration like 30s, 5m, 1h30m or 2d",
        "f:4:1: maybe.wait: Field required",
        "f:5:3: maybe.wayt: unknown key; did you mean 'wait'?",
    ]
