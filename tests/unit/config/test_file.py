"""The configuration in force: what was read, what of it is policy, the shadow, reloading."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from services.config import Config, ConfigFile
from services.runtime.errors import ConfigError
from services.runtime.yamlfile import parse

EVERYTHING = """\
severity:
  rules: [{name: a, match: a=b, severity: S1, breadth: {at_least: 3}, persists: 30m}]
  history: {repeat_within: 3h, stable_period: 30m, combine: {at_least: 3}}
correlation: {by: [team], rules: [{name: a, match: [a=b], by: [cluster]}]}
rules: [{name: a, match: a=b, severity: [S1, unknown], action: ignore}]
triage: {quiet_period: 1h, promote: {severity: null, persists: 1h30m}}
dependencies: {web: [db]}
maintenance: [{name: a, match: a=b, starts: 2026-12-01T22:00, duration: 2h, zone: Europe/Berlin, rrule: FREQ=DAILY, reason: why}]
prometheus: {url: "http://prometheus", username: u, password_file: /run/secret}
alertmanager: {urls: ["http://alertmanager"], token_file: /run/secret}
slos: [{name: a, match: a=b, query: q, degraded: {below: 0.9}, outage: {below: 0.5}, for: 10m, severity: {degraded: S3}}]
saturation: [{name: a, query: q, above: 0.9, dashboard: "http://grafana"}]
slack: {token_file: /run/secret}
access: {tokens: [{name: a, sha256: abababababababababababababababababababababababababababababababab, scopes: [read]}]}
people: [{id: ann, name: Ann}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.yaml"


def opened(file: Path, text: str) -> ConfigFile:
    file.write_text(text)
    return ConfigFile.open(file)


class TestPolicy:
    """The sections that decide, as plain data."""

    def test_it_is_a_policy_of_its_own_that_means_the_same(self, file: Path) -> None:
        found = opened(file, EVERYTHING)
        document = found.policy_document() | {"prometheus": {"url": "http://x"}}
        again = parse(json.dumps(document).encode(), "again", Config)
        for section in found.policy_document():
            assert getattr(again, section) == getattr(found.config, section)

    def test_it_says_every_default(self) -> None:
        document = ConfigFile.open(None).policy_document()
        assert document["timers"] == {"quiet_period": "5m", "refire_window": "30m", "stale_after": "8h"}
        assert document["triage"]["promote"] == {"severity": "S2", "breadth": None, "persists": None}
        assert document["severity"]["map"]["critical"] == "S1"

    def test_it_says_nothing_of_people_tokens_addresses_and_secrets(self, file: Path) -> None:
        document = opened(file, EVERYTHING).policy_document()
        assert not {"access", "people", "slack", "alertmanager", "prometheus", "include", "shadow"} & set(document)
        assert not [word for word in ("secret", "ann", "abab", "http://p", "http://a") if f'"{word}' in json.dumps(document)]
        assert "secret" not in json.dumps(document)

    def test_every_section_is_a_policy_or_known_not_to_be(self) -> None:
        others = {"include", "alertmanager", "prometheus", "shadow", "slack", "access", "people", "rotations", "feeds"}
        assert set(ConfigFile.open(None).policy_document()) | others == set(Config.model_fields)


class TestShadow:
    """The candidate beside the policy."""

    def test_it_is_read_with_what_it_includes(self, file: Path) -> None:
        (file.parent / "candidate.yaml").write_text("include: [more.yaml]\ntimers: {quiet_period: 10m}\n")
        (file.parent / "more.yaml").write_text("rules: [{name: a, action: record}]\n")
        found = opened(file, "shadow: {file: candidate.yaml}\n")
        assert found.shadow is not None
        assert [rule.name for rule in found.shadow.config.rules] == ["a"]
        assert [path.name for path in found.shadow.files] == ["candidate.yaml", "more.yaml"]
        assert ([path.name for path in found.files], found.warnings) == (["tocsin.yaml"], ())
        assert found.shadow.hash != found.hash

    def test_a_policy_that_decides_alike_is_warned_of(self, file: Path) -> None:
        (file.parent / "candidate.yaml").write_text("# words\npeople: [{id: ann, name: Ann, slack: U1}]\n")
        (warning,) = opened(file, "# more\nshadow: {file: candidate.yaml}\n").warnings
        assert str(warning) == f"{file}:2:10: warning: shadow.file: decides as this policy does; there is nothing to compare"

    def test_its_warnings_are_ours(self, file: Path) -> None:
        (file.parent / "candidate.yaml").write_text("rules: [{name: a, action: open}, {name: b, action: open}]\n")
        (warning,) = opened(file, "shadow: {file: candidate.yaml}\n").warnings
        assert warning.file == str(file.parent / "candidate.yaml")

    def test_when_it_is_broken_the_policy_is_used_all_the_same(self, file: Path) -> None:
        (file.parent / "candidate.yaml").write_text("timers: {quiet_period: soon}\n")
        found = opened(file, "timers: {quiet_period: 7m}\nshadow: {file: candidate.yaml}\n")
        assert (found.shadow, found.config.timers.quiet_period) == (None, timedelta(minutes=7))
        (fault,) = found.shadow_faults
        assert str(fault).startswith(f"{file.parent}/candidate.yaml:1:10: timers.quiet_period: expected a duration")
        (file.parent / "candidate.yaml").write_text("timers: {quiet_period: 8m}\n")
        found.reload()
        assert found.shadow is not None
        assert found.shadow_faults == ()

    def test_its_faults_are_told_with_those_of_the_policy(self, file: Path) -> None:
        (file.parent / "candidate.yaml").write_text("shadow: {file: tocsin.yaml}\ntimers: {quiet_period: soon}\n")
        with pytest.raises(ConfigError) as caught:
            opened(file, "timers: {quiet_period: never}\nshadow: {file: candidate.yaml}\n")
        assert [str(fault).removeprefix(f"{file.parent}/") for fault in caught.value.faults] == [
            "tocsin.yaml:1:10: timers.quiet_period: expected a duration like 30s, 5m, 1h30m or 2d",
            "candidate.yaml:1:1: shadow: a candidate has none; expected it in the policy only",
            "candidate.yaml:2:10: timers.quiet_period: expected a duration like 30s, 5m, 1h30m or 2d",
        ]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("candidat.yaml", "there is no {}/candidat.yaml; expected a file; did you mean 'candidate.yaml'?"),
            ("../x.yaml", "'../x.yaml' leads outside; expected a path inside the folder of this file, links resolved"),
            ("/etc/hosts", "'/etc/hosts' leads outside; expected a path inside the folder of this file, links resolved"),
            ("tocsin.yaml", "this is the file itself; expected another one"),
        ],
    )
    def test_it_is_a_file_beside_the_policy(self, file: Path, name: str, words: str) -> None:
        (file.parent / "candidate.yaml").write_text("")
        (fault,) = opened(file, f"shadow:\n  file: {name}\n").shadow_faults
        assert str(fault) == f"{file}:2:3: shadow.file: {words.format(file.parent)}"

    @pytest.mark.parametrize("text", ["shadow: candidate.yaml", "shadow: {}", "shadow: {file: 7}", "shadow: [a]"])
    def test_a_section_of_the_wrong_kind_is_one_fault(self, file: Path, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            opened(file, text)
        assert len(caught.value.faults) == 1

    def test_a_candidate_can_be_opened_alone(self, file: Path) -> None:
        file.write_text("timers: {quiet_period: 1m}\n")
        found = ConfigFile.open(file, candidate=True)
        assert (found.candidate, found.shadow) == (True, None)
        file.write_text("shadow: {file: other.yaml}\n")
        with pytest.raises(ConfigError, match="1:1: shadow: a candidate has none"):
            found.reload()


class TestReload:
    """Everything is swapped, or nothing."""

    def test_files_warnings_places_and_shadow_follow(self, file: Path) -> None:
        found = opened(file, "rules: [{name: a, action: open}]\n")
        (file.parent / "a.yaml").write_text("rules:\n- {name: b, action: open}\n")
        (file.parent / "candidate.yaml").write_text("timers: {quiet_period: 1m}\n")
        file.write_text("include: [a.yaml]\nshadow: {file: candidate.yaml}\nrules: [{name: a, action: open}]\n")
        before = found.hash
        found.reload()
        assert [path.name for path in found.files] == ["tocsin.yaml", "a.yaml"]
        assert len(found.warnings) == 1
        assert found.place(("rules", 1)) == f"{file.parent}/a.yaml:2:3"
        assert found.shadow is not None
        assert found.hash != before

    @pytest.mark.parametrize("broken", ["tocsin", "a"])
    def test_any_file_that_is_broken_keeps_all_of_the_old(self, file: Path, broken: str) -> None:
        (file.parent / "a.yaml").write_text("rules: [{name: a, action: open}]\n")
        (file.parent / "candidate.yaml").write_text("timers: {quiet_period: 1m}\n")
        found = opened(file, "include: [a.yaml]\nshadow: {file: candidate.yaml}\n")
        before = dict(vars(found))
        file.write_text("include: [a.yaml]\nshadow: {file: candidate.yaml}\ntimers: {quiet_period: 1m}\n")
        (file.parent / f"{broken}.yaml").write_text("zebra: 1\n")
        with pytest.raises(ConfigError, match="zebra"):
            found.reload()
        assert vars(found) == before
