"""The exported contract is that of the code, and a change that would break a reader is noticed."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.catalogue import CATALOGUE, encode
from schemas.deliveries import DeliveryOutcome
from schemas.export import Breaking, breaks_reader, export, models, render

FOLDER = Path(__file__).parents[2] / "schemas" / "jsonschema"

OLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "maxLength": 10},
        "kind": {"enum": ["a", "b"], "type": "string"},
        "url": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "who": {"$ref": "#/$defs/Actor"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/Actor"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["id"],
    "$defs": {"Actor": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}


def changed(path: str, value: object) -> dict[str, Any]:
    """`OLD` with one place set, or removed when the value is None."""
    new = copy.deepcopy(OLD)
    *parents, last = path.split("/")
    node: Any = new
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return new


def test_the_checked_in_files_are_those_of_the_code() -> None:
    checked_in = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    stale = [name for name, text in render().items() if checked_in.get(name) != text]
    assert (stale, sorted(checked_in.keys() - render().keys())) == ([], []), "run: tocsin schemas export schemas/jsonschema"


def test_the_code_does_not_break_a_reader_of_the_checked_in_files() -> None:
    texts = render()
    for path in FOLDER.glob("*.json"):
        assert breaks_reader(json.loads(path.read_text("utf-8")), json.loads(texts[path.name])) == []


def test_every_type_has_a_file() -> None:
    assert {f"{kind}.json" for kind in CATALOGUE} | {"envelope.json", "incident.json"} == set(models())


def test_every_file_is_a_schema() -> None:
    for text in render().values():
        Draft202012Validator.check_schema(json.loads(text))


def test_a_message_fits_its_file() -> None:
    moment = "2026-03-01T00:00:00Z"
    outcome = DeliveryOutcome.model_validate(
        {"delivery": "d", "incident": "INC-1", "channel": "board", "destination": "board", "kind": "summary", "state": "sent",
         "at": moment}
    )  # fmt: skip
    message = json.loads(encode(outcome.TYPE, outcome, id="d", source="test", subject="INC-1"))
    texts = render()
    Draft202012Validator(json.loads(texts["envelope.json"])).validate(message)
    Draft202012Validator(json.loads(texts[f"{outcome.TYPE}.json"])).validate(message["data"])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("properties/id", None, "/id: the field was removed"),
        ("required", ["id", "kind"], "/kind: became required"),
        ("properties/id/type", "integer", "/id: type changed from 'string' to 'integer'"),
        ("properties/id/maxLength", 5, "/id: maxLength changed from 10 to 5"),
        ("properties/kind/enum", ["a"], "/kind: the value 'b' was removed"),
        ("properties/kind/enum", ["a", "b", "c"], "/kind: the value 'c' was added, which readers of yesterday refuse"),
        ("properties/kind/enum", None, "/kind: the list of values was removed"),
        ("properties/url/anyOf", [{"type": "string"}], "/url: what it may be changed"),
        ("properties/labels/additionalProperties/type", "integer", "/labels/*: type changed from 'string' to 'integer'"),
        ("properties/labels/additionalProperties", None, "/labels: additionalProperties changed"),
        ("$defs/Actor/properties/name", None, "/tags/*/name: the field was removed"),
    ],
)  # fmt: skip
def test_what_breaks_a_reader_is_named_with_its_place(path: str, value: object, words: str) -> None:
    assert words in breaks_reader(OLD, changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/new", {"type": "string", "default": ""}),
        ("properties/id/description", "what it is"),
        ("title", "Another"),
        ("required", []),
    ],
)
def test_what_breaks_nobody_is_let_through(path: str, value: object) -> None:
    assert breaks_reader(OLD, changed(path, value)) == []


def test_a_shape_that_holds_itself_is_compared_to_its_end() -> None:
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {"child": {"$ref": "#/$defs/T"}}}}}
    assert breaks_reader(tree, tree) == []


def test_a_breaking_change_is_written_only_when_allowed(tmp_path: Path) -> None:
    name = "envelope.json"
    export(tmp_path)
    older = json.loads((tmp_path / name).read_text("utf-8"))
    older["properties"]["gone"] = {"type": "string"}
    (tmp_path / name).write_text(json.dumps(older), "utf-8")
    with pytest.raises(Breaking, match=r"envelope.json: /gone: the field was removed"):
        export(tmp_path)
    assert export(tmp_path, allow_breaking=True) == [name]
    assert export(tmp_path) == []


def test_a_type_is_not_removed_in_passing(tmp_path: Path) -> None:
    (tmp_path / "tocsin.old.v1.json").write_text("{}")
    with pytest.raises(Breaking, match="the type was removed"):
        export(tmp_path)
    assert "tocsin.old.v1.json" in export(tmp_path, allow_breaking=True)
    assert not (tmp_path / "tocsin.old.v1.json").exists()
