"""What editors are told of the file is what the file may say."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services.config.editor import editor_schema
from tests.unit.cli.conftest import invoke

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
SCHEMA = EXAMPLES / "tocsin.schema.json"


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(editor_schema())


def wrong(schema: Any, text: str) -> list[str]:
    """The paths of what is refused."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text) or {})
    return sorted(".".join(map(str, error.absolute_path)) for error in found)


def test_the_committed_one_is_fresh() -> None:
    assert SCHEMA.read_text("utf-8") == editor_schema(), "run `make schemas`"


def test_it_is_a_schema(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_it_accepts_every_example_also_what_is_commented_out(schema: Any, path: Path) -> None:
    text = path.read_text()
    assert wrong(schema, text) == []
    assert wrong(schema, re.sub(r"^#(?=\S|  )", "", text, flags=re.MULTILINE)) == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_names_it_in_its_first_line(path: Path) -> None:
    assert path.read_text().splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA.name}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("zebra: 1", ""),
        ("timers: {quiet_perod: 5m}", "timers"),
        ("timers: {quiet_period: 5}", "timers.quiet_period"),
        ("timers: {quiet_period: 5 m}", "timers.quiet_period"),
        ("timers: {quiet_period: ''}", "timers.quiet_period"),
        ("severity: {map: {page: S7}}", "severity.map.page"),
        ("severity: {floor: 1}", "severity.floor"),
        ("flapping: {count: 1}", "flapping.count"),
        ("rules: [{name: x, action: opn}]", "rules.0.action"),
        ("rules: [{name: x, severity: [S1, none], action: open}]", "rules.0.severity"),
        ("rules: [{name: open-s1-s2, action: open}]", "rules.0.name"),
        ("rules: [{action: open}]", "rules.0"),
        ("rules: [{name: x, match: [words], action: open}]", "rules.0.match"),
        ("rules: [{name: x, match: words, action: open}]", "rules.0.match"),
        ("maintenance: [{name: x, match: a=b, starts: '2026-01-01T00:00'}]", "maintenance.0"),
        ("maintenance: [{name: x, match: a=b, starts: '2026-01-01', duration: 1h, ends: '2026-01-02'}]", "maintenance.0"),
        ("saturation: [{name: x, query: q}]", "saturation.0"),
        ("saturation: [{name: x, query: q, above: 1, below: 0}]", "saturation.0"),
        ("alertmanager: {urls: [here]}", "alertmanager"),
        ("access: {tokens: [{name: x, sha256: abc, scopes: [read]}]}", "access.tokens.0.sha256"),
    ],
)
def test_it_refuses_what_the_file_may_not_say(schema: Any, text: str, path: str) -> None:
    assert wrong(schema, text) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "timers: {quiet_period: 1d2h3m4s, refire_window: ' 5m '}",
        "rules: [{name: x, match: '{}', action: open}, {name: y, match: [], action: open}]",
        "rules: [{name: x, match: ['{\"a b\"!~\"c\"}', 'a=~b', 'a!=b', 'a=b,c=d'], action: open}]",
        "severity: {rules: [{name: x, severity: S1, breadth: null, persists: null}]}",
        "saturation: [{name: x, query: q, above: 1, below: null}]",
        "maintenance: [{name: x, match: a=b, starts: '2026-01-01T00:00', duration: null, ends: '2026-01-02 00:00:00'}]",
    ],
)
def test_it_accepts_every_way_of_writing(schema: Any, text: str) -> None:
    assert wrong(schema, text) == []


def test_every_key_says_what_it_is_for(schema: Any) -> None:
    sections = {"tocsin.yaml": schema, **schema["$defs"]}
    for name, section in sections.items():
        assert section.get("description"), name
        for key, value in section.get("properties", {}).items():
            described = value if "description" in value else schema["$defs"][value["$ref"].rpartition("/")[2]]
            assert described["description"], f"{name}.{key}"


def test_the_command_writes_it_to_a_file_or_prints_it(tmp_path: Path) -> None:
    assert invoke("schemas", "editor").out == editor_schema()
    path = tmp_path / "schema.json"
    assert invoke("schemas", "editor", str(path)).out == f"Wrote {path}.\n"
    assert path.read_text("utf-8") == editor_schema()
    outcome = invoke("schemas", "editor", str(tmp_path))
    assert (outcome.status, outcome.out) == (1, "")
    assert "Is a directory" in outcome.err
