"""The files of a policy: `tocsin.yaml` and what it includes, as one document."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from services.runtime.errors import ConfigError
from services.runtime.faults import Steps, did_you_mean, dotted
from services.runtime.yamlfile import Document, read, read_bytes

T = TypeVar("T")

MOST_FILES = 1_000
"""A pattern that finds more is not meant so."""


_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Gathered:
    """`files` are all that were read, the main one first. `hash` changes with any of them."""

    document: Document
    files: tuple[Path, ...]
    hash: str


def gather(main: Path) -> Gathered:
    """Read the file and what it includes. Raises `ConfigError` when the main one cannot be read.

    What is wrong with an included one is a fault of the document.
    """
    seen = {main: read_bytes(main)}
    document = read(seen[main], str(main))
    for steps, pattern in _patterns(document.data):
        with _kept(document, steps):
            for path in _files(main, pattern):
                if path not in seen:
                    with _kept(document, steps):
                        seen[path] = _looked_at(path, Path.read_bytes)
                        document.merge(_included(seen[path], path))
    return Gathered(document, tuple(seen), _hash(main, seen))


@contextmanager
def _kept(document: Document, steps: Steps) -> Iterator[None]:
    """What goes wrong with an include is kept as a fault, so that the others are looked at all the same."""
    try:
        yield
    except ValueError as error:
        document.faults.append(document.place(steps).fault(f"{dotted(steps)}: {error}"))
        document.complete = False


def _patterns(data: object) -> Iterator[tuple[Steps, str]]:
    patterns = data.get("include") if isinstance(data, dict) else None
    for index, pattern in enumerate(patterns) if isinstance(patterns, list) else ():
        if isinstance(pattern, str):
            yield ("include", index), pattern


def inside(folder: Path, name: str) -> Path:
    """The path of that name in the folder; raises ValueError when it leads out of it, be it by a link."""
    path = folder / name
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        raise ValueError(f"{name!r} leads nowhere; expected a path inside the folder of this file") from None
    if Path(name).is_absolute() or ".." in Path(name).parts or not real.is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads outside; expected a path inside the folder of this file, links resolved")
    return path


def beside(main: Path, name: str) -> Path:
    """Another file in the folder of this one; raises ValueError, with the nearest name when there is no such file."""
    path = inside(main.parent, name)
    if not _looked_at(path, Path.exists):
        raise ValueError(f"there is no {path}; expected a file{did_you_mean(path.name, _siblings(path), like=0.8)}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected one")
    if path.resolve() == main.resolve():
        raise ValueError("this is the file itself; expected another one")
    return path


def _looked_at(path: Path, look: Callable[[Path], T]) -> T:
    try:
        return look(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(each.name for each in path.parent.iterdir())
    except OSError:
        return []


def _files(main: Path, pattern: str) -> Iterator[Path]:
    """The files that are meant, in the order of their names. A pattern may find the main one, which is not meant."""
    if not _WILD.search(pattern):
        yield beside(main, pattern)
        return
    inside(main.parent, pattern)
    found = sorted(path for path in main.parent.glob(pattern) if not _hidden(path.relative_to(main.parent)))
    if len(found) > MOST_FILES:
        raise ValueError(f"{pattern!r} finds {len(found)} files; expected at most {MOST_FILES}")
    for path in found:
        real = inside(main.parent, str(path.relative_to(main.parent))).resolve()
        if real != main.resolve() and _looked_at(path, Path.is_file):
            yield path


def _hidden(path: Path) -> bool:
    """What editors and mounts leave behind is not meant by a pattern."""
    return any(part.startswith(".") for part in path.parts)


def _included(raw: bytes, path: Path) -> Document:
    try:
        document = read(raw, str(path))
    except ConfigError as error:
        return Document(str(path), error.faults)
    if isinstance(document.data, dict) and "include" in document.data:
        place = document.place(("include",))
        document.faults.append(place.fault("include: an included file includes nothing; expected this in the main file"))
        del document.data["include"]
    return document


def _hash(main: Path, files: Mapping[Path, bytes]) -> str:
    """The SHA-256 of the file's bytes; then, for each that is included, of its name in the folder, its length and its bytes."""
    digest = hashlib.sha256(files[main])
    for path, raw in files.items():
        if path != main:
            digest.update(f"\0{path.relative_to(main.parent).as_posix()}\0{len(raw)}\0".encode() + raw)
    return f"sha256:{digest.hexdigest()}"
