"""`tocsin maintenance`: plan work during which alerts are expected."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import Column, always, answer, by, moment, one_line, table

PATH = "/api/v1/maintenance"
STATE = {"active": "yellow", "coming": "cyan", "over": "dim"}

app = typer.Typer(no_args_is_help=True, help="Plan work during which alerts are expected: they are recorded and open nothing.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What is done, in a few words.")],
    match: Annotated[list[str], typer.Option("--match", "-m", help="Which alerts, like 'service=\"db\"'; may be given again.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.")],
    starts: Annotated[str | None, typer.Option(help="When, by the clocks of the zone: 2026-12-01T22:00. Now without it.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="For how long, like 2h; at most 31d.")] = None,
    ends: Annotated[str | None, typer.Option(help="Until when, instead of --for.")] = None,
    zone: Annotated[str, typer.Option(help="The time zone, like Europe/Berlin.")] = "UTC",
    rrule: Annotated[str | None, typer.Option(help="How it comes again, as in calendars: 'FREQ=WEEKLY;BYDAY=SU'.")] = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Expect alerts for a time, once or again and again."""
    from services.cli.client import connect

    when = {"starts": starts, "duration": lasts, "ends": ends, "zone": zone, "rrule": rrule}
    body = {"name": name, "match": match, "reason": reason} | {key: value for key, value in when.items() if value is not None}
    with connect(url) as server:
        planned = server.send("POST", PATH, body)
    answer(output, planned, lambda: _told(planned))


@app.command("list")
def list_(
    active: Annotated[bool, typer.Option("--active", help="Only what holds now.")] = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also what is over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many of those planned by hand.")] = 100,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """What is planned: first what stands in the configuration, then the newest."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.items(PATH, limit, active=active, all=everything)
    answer(output, found, lambda: _table(found))


@app.command()
def end(
    maintenance: Annotated[str, typer.Argument(metavar="ID", help="Like MW-7, mw-7 or 7.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.")],
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Expect nothing any more, from now on. What still fires is decided anew."""
    from services.cli.client import connect

    with connect(url) as server:
        ended = server.send("POST", f"{PATH}/{quote(maintenance, safe='')}/end", {"reason": reason})
    answer(output, ended, lambda: _told(ended))


def _told(item: dict[str, Any]) -> None:
    print(f"{item['id']} is {item['state']} {_when(item)}: {one_line(item['name'])}")


def _table(items: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("ID", always("bold")), Column("STATE", by(STATE)), Column("WHEN (UTC)", always("dim"))),
        *(Column("NAME", wide=True), Column("MATCH", wide=True), Column("REPEATS", wide=True)),
        Column("WHY", always("dim"), wide=True),
    )
    table(columns, [_row(item) for item in items], "Nothing is planned.")


def _row(item: dict[str, Any]) -> list[object]:
    in_file = item["id"].startswith("file:")
    repeats = item["rrule"] and f"{item['rrule']} at {item['starts'][11:16]} {item['zone']}"
    who, why = item["ended_by"] or item["by"], item["end_reason"] or item["reason"]
    return [
        *("file" if in_file else item["id"], item["state"], _when(item), item["name"], ", ".join(item["match"]), repeats),
        why if in_file else f"{who}: {why}",
    ]


def _when(item: dict[str, Any]) -> str:
    """The moments that matter now."""
    if item["active_until"]:
        return f"until {_minute(item['active_until'])}"
    if item["next"]:
        return f"from {_minute(item['next'])} for {item['duration']}"
    return f"since {_minute(item['over_at'])}"


def _minute(value: object) -> str:
    return moment(value).removesuffix(":00")
