"""The contract as JSON Schema, for those who do not read Python; and what would break a reader of it.

The exported files are checked in. A test fails when they are stale, and `export` refuses to write over a file what would break
a reader of it: such a change is a new version in the type.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import create_model

from schemas.base import Contract
from schemas.catalogue import CATALOGUE
from schemas.envelope import Envelope
from schemas.incidents import CHANGES, Incident, IncidentEvent

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CHECKS = ("type", "format", "pattern", "const", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")


class Breaking(ValueError):
    """A change that would break a reader."""

    def __init__(self, breaks: list[str]) -> None:
        super().__init__("; ".join(breaks))
        self.breaks = breaks


def models() -> dict[str, type[Contract]]:
    """File name to model; in an event of an incident `change` has the shape of its type."""
    changes = {change.TYPE: change for change in CHANGES}
    found: dict[str, type[Contract]] = {"envelope": Envelope, "incident": Incident}
    for kind, model in CATALOGUE.items():
        change = changes.get(kind)
        found[kind] = _event(kind, change) if change else model
    return {f"{name}.json": model for name, model in sorted(found.items())}


def _event(kind: str, change: type[Contract]) -> type[Contract]:
    fields: dict[str, Any] = {"type": (Literal[kind], ...), "change": (change, ...)}
    return create_model(f"{change.__name__}Event", __base__=IncidentEvent, __doc__=change.__doc__, **fields)


def render() -> dict[str, str]:
    """File name to text; the same models give the same text."""
    return {name: _text(name, model) for name, model in models().items()}


def _text(name: str, model: type[Contract]) -> str:
    schema = {"$schema": _DIALECT, "$id": f"urn:{name.removesuffix('.json')}"} | model.model_json_schema()
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def export(folder: Path, *, allow_breaking: bool = False) -> list[str]:
    """Write all files and return the names of those that changed; raises `Breaking` before anything is written."""
    texts = render()
    before = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.json"))}
    breaks = [f"{name}: {line}" for name, old in before.items() for line in _breaks(old, texts.get(name))]
    if breaks and not allow_breaking:
        raise Breaking(breaks)
    folder.mkdir(parents=True, exist_ok=True)
    changed = [name for name, text in texts.items() if before.get(name) != text]
    for name in changed:
        (folder / name).write_text(texts[name], "utf-8")
    gone = sorted(before.keys() - texts.keys())
    for name in gone:
        (folder / name).unlink()
    return changed + gone


def _breaks(old: str, new: str | None) -> list[str]:
    return breaks_reader(json.loads(old), json.loads(new)) if new is not None else ["the type was removed"]


def breaks_reader(old: Schema, new: Schema) -> list[str]:
    """What in `new` breaks a reader, in words; empty when nothing does.

    Both directions count, since releases run side by side: a reader of yesterday must understand messages of today, and a
    reader of today those of yesterday, which are kept for days.
    """
    return list(_Comparison(old, new).of(old, new, ""))


class _Comparison:
    """Walks two schemas side by side. A shape that holds itself is looked at once."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str]] = set()

    def of(self, before: Schema, after: Schema, where: str) -> Iterator[str]:
        """What breaks a reader between two parts that stand at the same place."""
        if "$ref" in before and "$ref" in after:
            pair = (before["$ref"], after["$ref"])
            if pair in self._seen:
                return
            self._seen.add(pair)
        before, after = _resolve(before, self._old), _resolve(after, self._new)
        yield from _checks(before, after, where or "/")
        yield from _values(before, after, where or "/")
        yield from self._fields(before, after, where)
        yield from self._inner(before, after, where)
        yield from self._choices(before, after, where)

    def _fields(self, before: Schema, after: Schema, where: str) -> Iterator[str]:
        was, now = before.get("properties", {}), after.get("properties", {})
        new_needs = set(after.get("required", ())) - set(before.get("required", ()))
        yield from (f"{where}/{name}: the field was removed" for name in sorted(was.keys() - now.keys()))
        yield from (f"{where}/{name}: became required" for name in sorted(new_needs))
        for name in sorted(was.keys() & now.keys()):
            yield from self.of(was[name], now[name], f"{where}/{name}")

    def _inner(self, before: Schema, after: Schema, where: str) -> Iterator[str]:
        for name, step in (("items", "/*"), ("additionalProperties", "/*"), ("propertyNames", "/key")):
            was, now = before.get(name), after.get(name)
            if isinstance(was, dict) and isinstance(now, dict):
                yield from self.of(was, now, where + step)
            elif was != now:
                yield f"{where or '/'}: {name} changed"

    def _choices(self, before: Schema, after: Schema, where: str) -> Iterator[str]:
        was, now = before.get("anyOf", []), after.get("anyOf", [])
        if len(was) != len(now):
            yield f"{where or '/'}: what it may be changed"
            return
        for one, other in zip(was, now, strict=True):
            yield from self.of(one, other, where)


def _resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _checks(before: Schema, after: Schema, place: str) -> Iterator[str]:
    for name in _CHECKS:
        was, now = before.get(name), after.get(name)
        if was != now:
            yield f"{place}: {name} changed from {was!r} to {now!r}"


def _values(before: Schema, after: Schema, place: str) -> Iterator[str]:
    was, now = before.get("enum"), after.get("enum")
    if was is None or now is None:
        if was is not now:
            yield f"{place}: the list of values was {'added' if was is None else 'removed'}"
        return
    yield from (f"{place}: the value {value!r} was removed" for value in was if value not in now)
    yield from (f"{place}: the value {value!r} was added, which readers of yesterday refuse" for value in now if value not in was)
