"""Whatever a file says: it is understood or refused at its places; and what is said of rules is so."""

import json
import tempfile
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.config import Config, ConfigFile, Rule
from services.config.reach import Nearby, covers, hides
from services.runtime.durations import format_duration, parse_duration
from services.runtime.errors import ConfigError
from services.runtime.yamlfile import parse

WORD = st.sampled_from(
    ["", "a", "b", "web", "env", "S1", "unknown", "5m", "0s", "open", "a=b", 'env=~"("', "2026-01-01T00:00", "é\ud800"]
)
KEYS = (
    "name match by action map file tokens person id starts ends duration zone rrule degraded outage above below query breadth "
    "at_least promote history combine"
)
KEY = st.sampled_from([*Config.model_fields, *KEYS.split()])
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | WORD | st.dates() | st.datetimes()
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY | st.integers() | st.booleans(), inner, max_size=5),
    max_leaves=30,
)
FILE = st.dictionaries(st.sampled_from(list(Config.model_fields)), VALUE, max_size=6)


@settings(max_examples=300, deadline=None)
@given(FILE)
def test_any_data_is_a_policy_or_has_faults_with_places(data: Any) -> None:
    raw = yaml.safe_dump(data).encode()
    lines = raw.count(b"\n") + 1
    try:
        assert isinstance(parse(raw, "f", Config), Config)
    except ConfigError as error:
        assert error.faults
        assert all(fault.file == "f" and 0 <= fault.line <= lines and fault.message for fault in error.faults)
        assert error.faults == sorted(error.faults, key=lambda fault: (fault.line, fault.column))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#?,% \n\t\x00é", max_size=60).map(str.encode) | st.binary(max_size=40))
def test_any_bytes_are_a_policy_or_have_faults(raw: bytes) -> None:
    try:
        parse(raw, "f", Config)
    except ConfigError as error:
        assert error.faults


RULES = st.lists(
    st.fixed_dictionaries(
        {"name": st.text("abcdefgh", min_size=3, max_size=8), "action": st.sampled_from(["open", "record", "ignore"])},
        optional={
            "match": st.lists(st.sampled_from(["a=b", 'a!="b"', 'c=~"d|e"', "f=g"]), max_size=3),
            "severity": st.lists(st.sampled_from(["S1", "S2", "S3", "S4", "unknown"]), min_size=1, max_size=3),
        },
    ),
    max_size=6,
    unique_by=lambda rule: str(rule["name"]),
)
SPAN = st.integers(1, 7 * 86_400).map(lambda seconds: format_duration(timedelta(seconds=seconds)))
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "rules": RULES,
        "timers": st.fixed_dictionaries({}, optional={"quiet_period": SPAN, "refire_window": SPAN, "stale_after": SPAN}),
        "flapping": st.fixed_dictionaries({}, optional={"count": st.integers(2, 100), "within": SPAN}),
        "severity": st.fixed_dictionaries({}, optional={"floor": st.booleans(), "label": st.text("xyz", min_size=1)}),
        "dependencies": st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("def"), max_size=3)),
    },
)


@settings(max_examples=100, deadline=None)
@given(POLICY)
def test_a_policy_document_is_a_policy_that_means_the_same(data: dict[str, Any]) -> None:
    config = parse(json.dumps(data).encode(), "f", Config)
    document = ConfigFile(None, config, "").policy_document()
    assert parse(json.dumps(document).encode(), "f", Config) == config


@settings(max_examples=100, deadline=None)
@given(POLICY, st.data())
def test_a_policy_in_pieces_is_the_whole(data: dict[str, Any], draw: st.DataObject) -> None:
    """However its sections, keys and rules are shared among files that are read one after the other."""
    pieces: list[dict[str, Any]] = [{}, {}, {}]
    for section, value in data.items():
        if isinstance(value, list):
            cuts = sorted(draw.draw(st.lists(st.integers(0, len(value)), min_size=2, max_size=2)))
            for piece, part in zip(pieces, (value[: cuts[0]], value[cuts[0] : cuts[1]], value[cuts[1] :]), strict=True):
                piece[section] = part
        else:
            for key, inner in value.items():
                pieces[draw.draw(st.integers(0, 2))].setdefault(section, {})[key] = inner
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, piece in enumerate(pieces[1:]):
            (folder / f"{number}.yaml").write_text(json.dumps(piece))
        (folder / "tocsin.yaml").write_text(json.dumps(pieces[0] | {"include": ["*.yaml"]}))
        found = ConfigFile.open(folder / "tocsin.yaml")
        assert found.config.model_copy(update={"include": []}) == parse(json.dumps(data).encode(), "f", Config)


@given(st.integers(0, 999_999 * 86_400))
def test_a_duration_is_read_as_it_was_written(seconds: int) -> None:
    value = timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value


VALUES = st.sampled_from(["", "a", "b", "ab", "a-b"])
NAME = st.sampled_from(["x", "y"])
PATTERN = st.sampled_from(["a", "b", "a|b", "a.*", ".*", ".+", "ab|a-b", "", "a|", "(a|b)", "[ab]"])
MATCHER = st.builds('{}{}"{}"'.format, NAME, st.sampled_from(["=", "!="]), VALUES) | st.builds(
    '{}{}"{}"'.format, NAME, st.sampled_from(["=~", "!~"]), PATTERN
)
SEVERITIES = st.none() | st.lists(st.sampled_from(["S1", "S2", "unknown"]), min_size=1)
RULE = st.builds(
    lambda match, severity: Rule.model_validate({"name": "r", "match": match, "severity": severity, "action": "open"}),
    st.lists(MATCHER, max_size=3),
    SEVERITIES,
)


ALERTS = [
    ({"x": x, "y": y}, severity)
    for x, y in product(["", "a", "b", "c", "aa", "ab", "a-b"], repeat=2)
    for severity in ("S1", "S2", "S3", "unknown")
]


def takes(rule: Rule, labels: dict[str, str], severity: str) -> bool:
    return rule.selector.matches(labels) and (rule.severity is None or severity in rule.severity)


@settings(max_examples=1_000, deadline=None)
@given(RULE, RULE)
def test_a_rule_that_is_said_to_be_hidden_never_decides(earlier: Rule, later: Rule) -> None:
    if hides(earlier, later):
        assert not [alert for alert in ALERTS if takes(later, *alert) and not takes(earlier, *alert)]


@given(RULE)
def test_a_rule_hides_its_own_copy(rule: Rule) -> None:
    assert hides(rule, rule)


@settings(max_examples=300, deadline=None)
@given(st.lists(RULE, max_size=6), RULE)
def test_every_rule_that_covers_another_is_looked_at(rules: list[Rule], rule: Rule) -> None:
    assert {number for number, other in enumerate(rules) if covers(other, rule)} <= set(Nearby(rules).of(rule))
