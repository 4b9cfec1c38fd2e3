"""Reading YAML files into a pydantic model, with every fault at its file, line and column.

A document may come from several files; each of its paths remembers where it stands. No expansion happens inside a file.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from services.runtime.durations import Duration, parse_duration
from services.runtime.errors import ConfigError, Fault
from services.runtime.faults import Steps, dotted, explain

__all__ = ["Document", "Duration", "Place", "Section", "check", "load", "parse", "parse_duration", "read"]

M = TypeVar("M", bound="Section")
F = TypeVar("F", bound=Fault)

MOST_VALUES = 200_000
"""A document with more values is refused: a few lines of aliases can stand for billions."""


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors. The text under a key is what editors show for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def disagreements(cls, data: Mapping[str, Any], complete: bool) -> Iterable[tuple[Steps, str]]:  # noqa: ARG003
        """What does not fit together though each value may be good: where, and what was expected.

        It is asked about what the file says, as YAML reads it, so that one fault does not hide another; nothing in there
        needs to be of the right kind. When it is not complete, what is missing may be in a part that could not be read.
        """
        return ()


@dataclass(frozen=True)
class Place:
    """Where something stands; `line` and `column` start at 1, 0 means that they are not known."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def fault(self, message: str) -> Fault:
        return Fault(self.file, self.line, self.column, message)


class Document:
    """What one or more files say, and where they say it. `complete` is False when a part could not be read.

    One that is made with faults is a file that could not be read at all.
    """

    def __init__(self, name: str, faults: Sequence[Fault] = ()) -> None:
        self.name = name
        self.data: Any = None
        self.faults = list(faults)
        self.complete = not faults
        self._files = [name]
        self._places: dict[Steps, Place] = {}

    def place(self, steps: Steps) -> Place:
        """Where that path stands, or the nearest thing around it that is there."""
        while steps and steps not in self._places:
            steps = steps[:-1]
        return self._places.get(steps) or Place(self.name, 1, 1)

    def in_order(self, faults: Iterable[F]) -> list[F]:
        """Each once, file by file, from top to bottom."""
        order = {file: index for index, file in enumerate(self._files)}
        last = len(order)
        return sorted(dict.fromkeys(faults), key=lambda each: (order.get(each.file, last), each.file, each.line, each.column))

    def merge(self, other: "Document") -> None:
        """Take in another file: mappings are merged, sequences appended; what both give is a fault that names both places."""
        self._files += other._files
        self.faults += other.faults
        self.complete = self.complete and other.complete
        moved: dict[Steps, int] = {}
        mine, theirs = ({} if each.data is None else each.data for each in (self, other))
        if isinstance(mine, dict) and isinstance(theirs, dict):
            self.data = self._merged(mine, theirs, (), other, moved)
        else:
            self.faults.append(other.place(()).fault("the file: expected a mapping with sections of a policy"))
        for steps, place in other._places.items():
            self._places.setdefault(_moved(steps, moved), place)

    def _merged(self, mine: dict[Any, Any], theirs: dict[Any, Any], at: Steps, other: "Document", moved: dict[Steps, int]) -> Any:
        result = dict(mine)
        for key, value in theirs.items():
            steps, known = (*at, key), mine.get(key)
            if key not in mine:
                result[key] = value
            elif isinstance(known, dict) and isinstance(value, dict):
                result[key] = self._merged(known, value, steps, other, moved)
            elif isinstance(known, list) and isinstance(value, list):
                moved[steps], result[key] = len(known), [*known, *value]
            else:
                message = f"{dotted(steps)}: is given in two files, here and at {self.place(steps)}; expected it in one"
                self.faults.append(other.place(steps).fault(message))
        return result

    def note(self, root: yaml.Node | None) -> None:
        """Remember where everything stands. Raises `ConfigError` when there is too much."""
        if root is not None:
            _Walk(self.name, self._places, self.faults).through(root, ())


def _moved(steps: Steps, moved: Mapping[Steps, int]) -> Steps:
    """The path after its file was appended: only the first index of a path can change."""
    first = next((index for index, step in enumerate(steps) if isinstance(step, int)), None)
    offset = None if first is None else moved.get(steps[:first])
    if first is None or not offset:
        return steps
    return (*steps[:first], int(steps[first]) + offset, *steps[first + 1 :])


class _Walk:
    """Goes through a document as it is written, before aliases are resolved."""

    def __init__(self, name: str, places: dict[Steps, Place], faults: list[Fault]) -> None:
        self._name, self._places, self._faults = name, places, faults
        self._above: set[int] = set()

    def through(self, node: yaml.Node, steps: Steps) -> None:
        place = self._place(node.start_mark)
        self._places.setdefault(steps, place)
        if len(self._places) > MOST_VALUES:
            raise ConfigError([place.fault(f"is too large; expected at most {MOST_VALUES:,} values, aliases counted each time")])
        if id(node) in self._above:
            raise ConfigError([place.fault("contains itself by an alias; expected an end")])
        self._above.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.through(item, (*steps, index))
        elif isinstance(node, yaml.MappingNode):
            self._mapping(node, steps)
        self._above.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, steps: Steps) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key.value, str) else "?"
            place = self._place(key.start_mark)
            if name in seen:
                self._faults.append(place.fault(f"{name}: is given twice"))
            seen.add(name)
            self._places[(*steps, name)] = place
            if isinstance(value, yaml.ScalarNode):  # which may stand for a list of one
                self._places[(*steps, name, 0)] = self._place(value.start_mark)
            self.through(value, (*steps, name))

    def _place(self, mark: yaml.Mark) -> Place:
        return Place(self._name, mark.line + 1, mark.column + 1)


def read(raw: bytes, name: str) -> Document:
    """A document of one file. Raises `ConfigError` when it is not YAML."""
    document = Document(name)
    try:
        loader = yaml.SafeLoader(raw.decode())
        root = loader.get_single_node()
        document.note(root)
        document.data = _constructed(loader, root)
    except UnicodeDecodeError as error:
        line, column = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError([Fault(name, line, column, f"is not UTF-8 (byte {error.start} of the file)")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError([Fault(name, line, column, getattr(error, "problem", None) or "is not YAML")]) from None
    except ValueError as error:  # a value that looks like a date and is none
        raise ConfigError([Fault(name, 0, 0, f"is not YAML: {error}")]) from None
    except RecursionError:
        raise ConfigError([Fault(name, 0, 0, "is nested too deeply")]) from None
    return document


def _constructed(loader: yaml.SafeLoader, root: yaml.Node | None) -> Any:
    """Raises ValueError for a value that its tag does not fit, like `!!bool maybe`."""
    try:
        return None if root is None else loader.construct_document(root)
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:  # what PyYAML's constructors run into
        raise ValueError(f"a value does not fit its tag ({error})") from None


def check(document: Document, model: type[M]) -> M:
    """The document as a model. Raises `ConfigError` with all faults at once."""
    faults, data = list(document.faults), {} if document.data is None else document.data
    try:
        result = model.model_validate(data)
    except ValidationError as error:
        told = error.errors(include_url=False)
        faults += [document.place(detail["loc"]).fault(explain(detail, data, model)) for detail in told]
    if isinstance(data, dict):
        wrong = model.disagreements(data, document.complete)
        faults += [document.place(steps).fault(f"{dotted(steps)}: {message}") for steps, message in wrong]
    if faults:
        raise ConfigError(document.in_order(faults))
    return result


def parse(raw: bytes, name: str, model: type[M]) -> M:
    """As `load`, for bytes that are already here."""
    return check(read(raw, name), model)


def load(path: Path, model: type[M]) -> tuple[M, str]:
    """The file as a model and the SHA-256 of its bytes. Raises `ConfigError` with all faults at once."""
    raw = read_bytes(path)
    return parse(raw, str(path), model), f"sha256:{hashlib.sha256(raw).hexdigest()}"


def read_bytes(path: Path) -> bytes:
    """What is in the file. Raises `ConfigError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([Fault(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
