"""The example policies are good ones: nothing is wrong with them, editors know them, and they do what their tests say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services.config import ConfigFile
from tests.unit.cli.conftest import invoke

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
SCHEMA = EXAMPLES / "tocsin.schema.json"
TESTS = "policy-tests.yaml"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/tocsin.yaml"))
FILES = sorted(path for path in EXAMPLES.glob("*/**/*.yaml") if path.name != TESTS)
MANY = 4
"""Fewer tests do not show what a policy is for."""

every_example = pytest.mark.parametrize("name", NAMES)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_there_are_three_and_no_folder_without_a_policy() -> None:
    assert NAMES == ["gitlab-like", "multi-region-shop", "small-team"]
    assert [path.name for path in sorted(EXAMPLES.iterdir()) if path.is_dir()] == NAMES


@every_example
def test_it_loads_without_a_warning_and_no_file_is_left_out(name: str) -> None:
    found = ConfigFile.open(EXAMPLES / name / "tocsin.yaml")
    assert found.warnings == ()
    assert {path.resolve() for path in found.files} == {path for path in FILES if EXAMPLES / name in path.parents}


@every_file
def test_it_fits_the_schema_that_its_first_line_names(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert named.resolve() == SCHEMA
    jsonschema.Draft202012Validator(json.loads(named.read_text())).validate(read(path))


@every_example
def test_it_does_what_its_tests_say(name: str) -> None:
    outcome = invoke("policy", "test", str(EXAMPLES / name / TESTS))
    assert outcome.status == 0, outcome.out + outcome.err
    assert len(read(EXAMPLES / name / TESTS)["tests"]) >= MANY


@every_example
def test_its_tests_show_what_wakes_somebody_and_what_does_not(name: str) -> None:
    moments = [moment for test in read(EXAMPLES / name / TESTS)["tests"] for moment in test["expect"]]
    assert any(moment.get("open") == 0 for moment in moments)
    assert any(incident.get("state") == "active" for moment in moments for incident in moment.get("incidents", ()))


@every_example
def test_its_tests_name_each_of_its_rules(name: str) -> None:
    config = ConfigFile.open(EXAMPLES / name / "tocsin.yaml").config
    told = (EXAMPLES / name / TESTS).read_text()
    assert [rule.name for rule in (*config.severity.rules, *config.rules, *config.maintenance) if rule.name not in told] == []


@every_example
def test_its_tests_fail_under_a_policy_that_decides_otherwise(name: str, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("rules: [{name: nothing-matters, action: record}]\n")
    (tmp_path / TESTS).write_text((EXAMPLES / name / TESTS).read_text())
    told = invoke("policy", "test", str(tmp_path / TESTS), "-o", "json").json
    assert sum(not test["ok"] for test in told[0]["tests"]) >= MANY
