"""How answers look: tables for people, JSON for programs. Nothing that others wrote can steer the terminal."""

# ruff: noqa: PLC0415  rich is only needed on a terminal

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import typer

from services.cli.options import Form

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])", re.DOTALL)
_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_INVISIBLE = re.compile(f"[{_UNSEEN}]")

SEVERITY = {"S1": "bold red", "S2": "bold yellow", "S3": "cyan", "S4": "dim"}
STATE = {
    **dict.fromkeys(("active", "firing", "failed", "fail"), "red"),
    **dict.fromkeys(("triage", "unknown", "warn", "stale"), "yellow"),
    **dict.fromkeys(("mitigated", "pending", "muted"), "cyan"),
    **dict.fromkeys(("resolved", "sent", "reviewed", "ok"), "green"),
    **dict.fromkeys(("dismissed", "merged", "superseded"), "dim"),
}


@dataclass(frozen=True)
class Column:
    """A column of a table; `style` maps a cell's text to how it looks on a terminal. Only a `wide` one is broken into lines."""

    name: str
    style: Callable[[str], str] = lambda _: ""
    wide: bool = False


def by(styles: dict[str, str]) -> Callable[[str], str]:
    """A style looked up by the cell's text."""
    return lambda text: styles.get(text, "")


def always(style: str) -> Callable[[str], str]:
    """The same style for each cell."""
    return lambda _: style


def plain(value: object) -> str:
    """Text of others, safe to print: no escape sequences, no control characters, nothing that reverses the reading order."""
    text = "" if value is None else str(value)
    return _INVISIBLE.sub("�", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def one_line(value: object) -> str:
    """As `plain`, in one line."""
    return " ".join(plain(value).split())


def as_json(value: Any) -> str:
    """JSON that a terminal may show: what cannot be seen is written as `\\u….`"""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return re.sub(f"[{_UNSEEN}]", lambda match: f"\\u{ord(match[0]):04x}", text)


def answer(output: Form, value: Any, table: Callable[[], None]) -> None:
    """Print the value as JSON, or as `table` does."""
    if output is Form.JSON:
        print(as_json(value))
    else:
        table()


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows; for programs and files aligned in single lines, on a terminal as wide as it is."""
    if not rows:
        print(empty)
    elif sys.stdout.isatty():
        _print_rich(columns, rows)
    else:
        _print_aligned([[column.name for column in columns], *([one_line(cell) for cell in row] for row in rows)])


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        grid.add_column(column.name, no_wrap=not column.wide, overflow="fold" if column.wide else "ellipsis")
    for row in rows:
        cells = [one_line(cell) for cell in row]
        grid.add_row(*(Text(cell, style=column.style(cell)) for cell, column in zip(cells, columns, strict=True)))
    Console().print(grid)


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Print what is known, one line each; what is unknown is left out."""
    known = [(name, plain(value)) for name, value in pairs if value not in (None, "", {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, text in known:
        first, *more = text.splitlines() or [""]
        typer.echo(typer.style(name.ljust(width), dim=True) + "  " + first)
        for line in more:
            typer.echo(" " * (width + 2) + line)


def fail(message: str, *more: str) -> NoReturn:
    """Say on standard error what went wrong, and end with status 1."""
    typer.echo(f"{typer.style('error:', fg='red', bold=True)} {plain(message)}", err=True)
    for line in more:
        typer.echo(f"  {plain(line)}", err=True)
    raise typer.Exit(1)


def moment(value: object) -> str:
    """A moment of the API as `2026-11-23 08:01:45`, in UTC; empty when it is not known."""
    if not isinstance(value, str):
        return ""
    try:
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return plain(value)


def ago(value: object, now: datetime) -> str:
    """How long ago a moment of the API was: `12 min ago`; empty when it is not known."""
    try:
        seconds = (now - datetime.fromisoformat(str(value))).total_seconds()
    except (ValueError, TypeError):
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
