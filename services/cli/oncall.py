"""`tocsin oncall`: who is on call, who is next, and when nobody is."""

# ruff: noqa: PLC0415  imported when it is used

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import Column, always, answer, one_line, table

PATH = "/api/v1/oncall"
MOST_WEEKS = 52
MOST_TIMES = 3
"""Gaps of one rotation that are shown one by one; `-o json` has all of them."""


def oncall(
    context: typer.Context,
    at: Annotated[str | None, typer.Option(help="At this moment instead of now: 2026-12-24T20:00, in UTC.")] = None,
    weeks: Annotated[int | None, typer.Option(min=1, max=MOST_WEEKS, help="Every shift of so many weeks.")] = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Who is on call now, who is next, and when nobody is; times are by the clocks of each rotation."""
    if context.invoked_subcommand is not None:
        return
    from services.cli.client import connect

    with connect(url) as server:
        found = server.get(PATH, at=at, until=_until(at, weeks))
    answer(output, found, lambda: _told(found))


def _until(at: str | None, weeks: int | None) -> str | None:
    """The end of so many weeks; what is no moment the server refuses in its own words."""
    from services.runtime.clock import Clock

    if weeks is None:
        return None
    try:
        begin = Clock().now() if at is None else datetime.fromisoformat(at)
    except ValueError:
        return at
    return (begin + timedelta(weeks=weeks)).isoformat()


def _told(found: dict[str, Any]) -> None:
    if any("shifts" in item for item in found["items"]):
        _shifts(found["items"])
    else:
        _now(found["items"])
    zones = {item["rotation"]: item["zone"] for item in found["items"]}
    gaps = {item["rotation"]: item["gaps"] for item in found["items"]}
    bookings: dict[str, list[dict[str, Any]]] = {}
    for each in found["double_bookings"]:
        bookings.setdefault(each["text"], []).append(each)
    _block("Nobody is on call:", [line for name, those in gaps.items() for line in _times(name, those, zones[name])])
    first = {text: zones[those[0]["rotations"][0]] for text, those in bookings.items()}
    _block("Booked twice:", [line for text, those in bookings.items() for line in _times(text, those, first[text])])
    _block("Look at this:", [one_line(line) for line in found["warnings"]])


def _now(items: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("ROLE", always("bold")), Column("ROTATION", wide=True), Column("ON CALL", _somebody, wide=True)),
        *(Column("UNTIL", always("dim")), Column("NEXT", _somebody, wide=True), Column("BY", always("dim"), wide=True)),
    )
    table(columns, [_row(item) for item in items], "No rotation is configured.")


def _row(item: dict[str, Any]) -> list[object]:
    now, following, zone = item["now"], item["next"], item["zone"]
    services = f" ({', '.join(item['services'])})" if item["services"] else ""
    until = wall(now["until"], zone) if now["until"] else "-"
    return [
        *(item["role"].upper(), item["rotation"] + services, _name(now, item), until),
        *(_name(following, item) if following else "-", _says(item)),
    ]


def _shifts(items: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("ROLE", always("bold")), Column("ROTATION"), Column("FROM", always("dim")), Column("TO", always("dim"))),
        *(Column("LASTS", always("dim")), Column("ON CALL", _somebody, wide=True), Column("BY", always("dim"), wide=True)),
    )
    rows = [
        [
            *(item["role"].upper(), item["rotation"], wall(shift["starts"], item["zone"])),
            *(wall(shift["ends"], item["zone"]), _length(shift), _name(shift, item), _by(shift)),
        ]
        for item in items
        for shift in item["shifts"]
    ]
    table(columns, rows, "No rotation is configured.")


def _somebody(name: str) -> str:
    return "bold red" if name == "nobody" else "yellow" if name.startswith("nobody") else "green"


def _name(shift: dict[str, Any], item: dict[str, Any]) -> str:
    """Where nobody is on call, the rotation that is asked instead."""
    if shift["person"] is None:
        return f"nobody, see {item['falls_to']}" if item["falls_to"] else "nobody"
    return f"{shift['name']} ({shift['person']})" if shift["name"] else str(shift["person"])


def _by(shift: dict[str, Any]) -> str:
    return "calendar" if shift["source"] == "feed" else str(shift["layer"] or "-")


def _says(item: dict[str, Any]) -> str:
    """What says who it is, and how old it is."""
    feed, by = item["feed"], _by(item["now"])
    if feed is None:
        return by
    age = "never read" if feed["age_seconds"] is None else f"read {_span(feed['age_seconds'])} ago"
    return f"calendar {age}" if by in ("calendar", "-") else f"{by}, calendar {age}"


def _span(seconds: float) -> str:
    """In the two largest units: `2d 3h`."""
    words = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(int(seconds), size)
        words += [f"{count}{unit}"] if count else []
    return " ".join(words[:2]) or "0s"


def _length(time: dict[str, Any]) -> str:
    return _span(_seconds(time))


def _seconds(time: dict[str, Any]) -> float:
    return (datetime.fromisoformat(time["ends"]) - datetime.fromisoformat(time["starts"])).total_seconds()


def wall(text: str, zone: str) -> str:
    """By the clocks of the zone, as `Mon 2026-11-23 09:00 CET`."""
    return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"


def _times(what: str, times: list[dict[str, Any]], zone: str) -> Iterator[str]:
    """The first few, and how much there is beside them."""
    for time in times[:MOST_TIMES]:
        yield f"{one_line(what)}: {wall(time['starts'], zone)} to {wall(time['ends'], zone)} ({_length(time)})"
    if more := times[MOST_TIMES:]:
        yield f"{one_line(what)}: {len(more)} times more, {_span(sum(map(_seconds, more)))} together"


def _block(title: str, lines: list[str]) -> None:
    if lines:
        typer.echo("\n" + typer.style(title, bold=True))
        for line in lines:
            typer.echo(f"  {line}")
