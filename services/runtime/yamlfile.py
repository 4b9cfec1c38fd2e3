"""Reading a YAML file into a pydantic model, with every fault at its line and column.

Durations are written as Prometheus writes them (`30s`, `5m`, `1h30m`, `2d`). No expansion happens inside the file.
"""

import difflib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from services.runtime.durations import Duration, parse_duration
from services.runtime.errors import ConfigError, Fault

__all__ = ["Duration", "Section", "load", "parse", "parse_duration"]

M = TypeVar("M", bound=BaseModel)


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors. The text under a key is what editors show for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _Positions:
    """Where each path of the document stands."""

    def __init__(self, root: yaml.Node | None) -> None:
        self.nodes: dict[tuple[str | int, ...], yaml.Mark] = {}
        self.duplicates: list[tuple[yaml.Mark, str]] = []
        if root is not None:
            self._walk(root, ())

    def _walk(self, node: yaml.Node, path: tuple[str | int, ...]) -> None:
        self.nodes.setdefault(path, node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    self.duplicates.append((key.start_mark, key.value))
                seen.add(key.value)
                self.nodes[(*path, key.value)] = key.start_mark
                self._walk(value, (*path, key.value))

    def find(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        while path and path not in self.nodes:
            path = path[:-1]
        mark = self.nodes.get(path)
        return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def load(path: Path, model: type[M]) -> tuple[M, str]:
    """The file as a model and the SHA-256 of its bytes. Raises `ConfigError` with all faults at once."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError([Fault(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
    return parse(raw, str(path), model), f"sha256:{hashlib.sha256(raw).hexdigest()}"


def parse(raw: bytes, name: str, model: type[M]) -> M:
    """As `load`, for bytes that are already here."""
    try:
        text = raw.decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        line, column = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError([Fault(name, line, column, f"is not UTF-8 (byte {error.start} of the file)")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError([Fault(name, line, column, getattr(error, "problem", None) or "is not YAML")]) from None
    except ValueError as error:  # a value that looks like a date and is none
        raise ConfigError([Fault(name, 0, 0, f"is not YAML: {error}")]) from None
    positions = _Positions(root)
    faults = [Fault(name, mark.line + 1, mark.column + 1, f"{key}: is given twice") for mark, key in positions.duplicates]
    try:
        result = model.model_validate({} if data is None else data)
    except ValidationError as error:
        faults += [_fault(name, positions, model, dict(detail)) for detail in error.errors()]
    if faults:
        raise ConfigError(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return result


def _fault(name: str, positions: _Positions, model: type[BaseModel], detail: dict[str, Any]) -> Fault:
    path = tuple(detail["loc"])
    line, column = positions.find(path)
    where = ".".join(map(str, path)) or "the file"
    if detail["type"] == "extra_forbidden":
        known = sorted(_known_words(model))
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return Fault(name, line, column, f"{where}: unknown key{hint}")
    message = str(detail["msg"]).removeprefix("Value error, ")
    return Fault(name, line, column, f"{where}: {message}")


def _known_words(model: type[BaseModel]) -> Iterator[str]:
    """Every key the file may hold, at any depth: what a misspelt key is compared with."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _known_words(inner)
