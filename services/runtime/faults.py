"""What pydantic found wrong in a document, in words: where, what was expected, and the nearest word that would be right."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Steps = tuple[str | int, ...]
"""A path of a document: the keys and indices that lead to a value."""

_WORDS = {"path_type": "expected the path of a file", "invalid_key": "Keys should be words"}
_MISSING = object()


def dotted(steps: Steps) -> str:
    """`rules.0.match`, as faults name a path."""
    return ".".join(map(spelt, steps)) or "the file"


def spelt(word: str | int) -> str:
    """The word itself, quoted when it is not to be seen or breaks the line."""
    return str(word) if str(word).isprintable() else repr(word)


def explain(detail: ErrorDetails, data: object, model: type[BaseModel]) -> str:
    """A fault in words, with its path."""
    steps = within(detail["loc"], data)
    return f"{dotted(steps)}: {_sentence(detail, steps, model)}"


def _sentence(detail: ErrorDetails, steps: Steps, model: type[BaseModel]) -> str:
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        return f"unknown key{_right_keys(steps, model)}"
    if kind in ("enum", "literal_error"):
        right = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        return f"{message}{did_you_mean(detail['input'], right)}"
    if kind == "model_type":
        return message.partition(" or instance of ")[0]
    return _WORDS.get(kind) or message.removeprefix("Value error, ")


def did_you_mean(word: object, words: Iterable[str], like: float = 0.6) -> str:
    """`; did you mean 'web'?` for the nearest of the words in any case, nothing when none is near. `like` is at most 1, equal."""
    known = {each.casefold(): each for each in words}
    near = difflib.get_close_matches(str(word)[:100].casefold(), known, n=1, cutoff=like)
    return f"; did you mean {known[near[0]]!r}?" if near else ""


def within(loc: Steps, data: object) -> Steps:
    """The part of the path that is in the document: its last step may be missing there, and a scalar has no inside."""
    steps: list[str | int] = []
    for step in loc:
        if step == "[key]" or not isinstance(data, dict | list):
            break
        steps.append(step)
        data = _inside(data, step)
    return tuple(steps)


def _inside(data: dict[Any, Any] | list[Any], step: str | int) -> object:
    if isinstance(data, dict):
        return data.get(step, _MISSING)
    return data[step] if isinstance(step, int) and step < len(data) else _MISSING


def _right_keys(steps: Steps, model: type[BaseModel]) -> str:
    """Which key was meant: one of the same section that is spelt alike, or the same word elsewhere, else all that there are."""
    word, own = str(steps[-1]), sorted(_fields(_annotation(model, steps[:-1])))
    if hint := did_you_mean(word, own):
        return hint
    if elsewhere := [path for path, key in _everywhere(model, "") if key == word]:
        return f"; did you mean {' or '.join(map(repr, elsewhere))}?"
    return f"; expected one of {', '.join(own)}" if own else ""


def _annotation(model: type[BaseModel], steps: Steps) -> Any:
    """What is expected at that path. Lists and mappings of sections are seen through."""
    annotation: Any = model
    for step in steps:
        annotation = _fields(annotation).get(str(step), annotation)
    return annotation


def _fields(annotation: Any) -> dict[str, Any]:
    """The keys of the sections in there, with what is expected under them."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
    return {name: inner for each in get_args(annotation) for name, inner in _fields(each).items()}


def _everywhere(annotation: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Every key of the file with its path, like `slos[].query`."""
    for name, inner in _fields(annotation).items():
        yield prefix + name, name
        yield from _everywhere(inner, f"{prefix}{name}{'[]' if get_origin(inner) is list else ''}.")
