"""What is probably not meant is told at its place, and nothing is refused."""

import time
from pathlib import Path

import pytest

from services.config import ConfigFile
from services.config.cautions import cautions
from services.runtime.yamlfile import Document


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.yaml"


def warnings(file: Path, text: str) -> list[str]:
    """One line each, without the folder's name."""
    file.write_text(text)
    return [str(each).replace(f"{file.parent}/", "") for each in ConfigFile.open(file).warnings]


def test_nothing_is_told_of_the_defaults() -> None:
    assert ConfigFile.open(None).warnings == ()


def test_a_rule_that_never_decides_is_told_with_the_one_that_hides_it(file: Path) -> None:
    text = """\
rules:
  - {name: all-dev, match: ['env=~"dev|test"'], action: ignore}
  - {name: others, action: attach, severity: [S3, S4]}
  - {name: web-dev, match: ['service="web"', 'env="dev"'], action: open}
  - {name: s4, match: ['service="web"'], severity: [S4], action: open}
correlation:
  rules:
    - {name: any, by: [cluster]}
    - {name: node, match: ['alertname="Node"'], by: [node]}
"""
    assert warnings(file, text) == [
        "tocsin.yaml:4:5: warning: rules.2: "
        "'web-dev' never decides: 'all-dev' (tocsin.yaml:2:5) comes before it and is for all of its alerts",
        "tocsin.yaml:5:5: warning: rules.3: "
        "'s4' never decides: 'others' (tocsin.yaml:3:5) comes before it and is for all of its alerts",
        "tocsin.yaml:9:7: warning: correlation.rules.1: "
        "'node' never decides: 'any' (tocsin.yaml:8:7) comes before it and is for all of its alerts",
    ]


def test_a_severity_rule_that_never_counts_is_told_with_the_one_that_outdoes_it(file: Path) -> None:
    text = """\
severity:
  rules:
    - {name: narrow, match: ['env="prd"', 'team="a"'], severity: S2, persists: 5m}
    - {name: wide, match: ['env="prd"'], severity: S1}
    - {name: twin, match: ['env="prd"'], severity: S1}
    - {name: lone, match: ['env="stg"'], severity: S4}
"""
    assert warnings(file, text) == [
        "tocsin.yaml:3:7: warning: severity.rules.0: "
        "'narrow' never counts: 'wide' (tocsin.yaml:4:7) holds whenever it does and says S1",
        "tocsin.yaml:5:7: warning: severity.rules.2: "
        "'twin' never counts: 'wide' (tocsin.yaml:4:7) holds whenever it does and says S1",
    ]


def test_as_severe_a_rule_that_comes_later_takes_nothing_away(file: Path) -> None:
    rules = "{name: narrow, match: ['a=b', 'c=d'], severity: S2}, {name: wide, match: ['a=b'], severity: S2}"
    assert warnings(file, f"severity: {{rules: [{rules}]}}") == []


def test_a_matcher_that_only_the_old_parser_reads_is_told_at_the_text(file: Path) -> None:
    text = "rules:\n  - {name: a, match: ['x=y', 'foo=b a'], action: open}\n  - {name: b, match: 'foo=c a', action: open}\n"
    first, second = warnings(file, text)
    assert first.startswith("tocsin.yaml:2:30: warning: rules.0.match.1: only Alertmanager's classic parser reads this")
    assert second.startswith("tocsin.yaml:3:22: warning: rules.1.match: only Alertmanager's classic parser reads this")
    assert second.endswith('write {foo="c a"}')


@pytest.mark.parametrize(
    "text",
    [
        "severity: {rules: [{name: x, match: 'foo=b a', severity: S1}]}",
        "correlation: {rules: [{name: x, match: 'foo=b a', by: [a]}]}",
        "maintenance: [{name: x, match: 'foo=b a', starts: 2026-01-01T00:00, duration: 1h}]",
        "prometheus: {url: 'http://x'}\nslos: [{name: x, match: 'foo=b a', query: q, degraded: {above: 1}, outage: {above: 2}}]",
    ],
)
def test_matchers_are_looked_at_wherever_they_stand(file: Path, text: str) -> None:
    (warning,) = warnings(file, text)
    assert "only Alertmanager's classic parser reads this" in warning


def test_a_rule_of_another_file_is_told_in_that_file(file: Path) -> None:
    (file.parent / "a.yaml").write_text("rules:\n  - {name: b, action: open}\n")
    assert warnings(file, "include: [a.yaml]\nrules:\n  - {name: a, action: open}\n") == [
        "a.yaml:2:5: warning: rules.1: 'b' never decides: 'a' (tocsin.yaml:3:5) comes before it and is for all of its alerts"
    ]


def test_many_rules_are_compared_quickly(file: Path) -> None:
    rules = "".join(f"  - {{name: r{number}, match: ['service=\"s{number}\"'], action: open}}\n" for number in range(600))
    file.write_text(f"rules:\n{rules}")
    config = ConfigFile.open(file).config
    began = time.perf_counter()
    assert cautions(config, Document("f")) == []
    assert time.perf_counter() - began < 1
