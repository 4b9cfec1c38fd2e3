"""`tocsin oncall …`: standing in for somebody who is on call."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.oncall import PATH, wall
from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import STATE, Column, always, answer, by, plain, table

_STATE = STATE | {"active": "green", "coming": "cyan"}

app = typer.Typer()

Role = Annotated[str, typer.Option(help="eoc, imoc or cmoc.")]
InRotation = Annotated[str | None, typer.Option("--rotation", help="Which rotation, where the role has several.")]
Why = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="The id of a person of the configuration.")]


@app.command()
def override(
    person: Person,
    role: Role,
    reason: Why,
    starts: Annotated[str | None, typer.Option(help="From when, by the clocks of the rotation; now without it.")] = None,
    ends: Annotated[str | None, typer.Option(help="Until when, by the same clocks.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="For how long, like 4h, instead of --ends; at most 31d.")] = None,
    rotation: InRotation = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Somebody stands in for whoever it would be."""
    body = {"person": person, "starts": starts, "ends": ends, "for": lasts, "rotation": rotation, "reason": reason}
    _send("PUT", f"{PATH}/{quote(role, safe='')}/override", body, url, output)


@app.command()
def swap(
    person: Person,
    other: Annotated[str, typer.Argument(metavar="WITH", help="The one they swap with.")],
    role: Role,
    reason: Why,
    at: Annotated[str | None, typer.Option(help="A moment of the shift to swap; without it the present one or the next.")] = None,
    other_at: Annotated[str | None, typer.Option("--with-at", help="Likewise, of the other's shift.")] = None,
    rotation: InRotation = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Two people change shifts."""
    body = {"person": person, "with": other, "at": at, "with_at": other_at, "rotation": rotation, "reason": reason}
    _send("POST", f"{PATH}/{quote(role, safe='')}/swap", body, url, output)


@app.command()
def end(
    name: Annotated[str, typer.Argument(metavar="OVERRIDE", help="Like OV-7, ov-7 or 7.")],
    reason: Why,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """End an override, or call it off before it begins."""
    _send("DELETE", f"{PATH}/overrides/{quote(name, safe='')}", {"reason": reason}, url, output)


@app.command()
def overrides(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also those that are over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many lines.")] = 100,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Who stands in now or will, newest first."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.items(f"{PATH}/overrides", limit, all=everything)
    answer(output, found, lambda: _overrides(found))


def _overrides(found: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("ID", always("bold")), Column("STATE", by(_STATE)), Column("ROTATION")),
        *(Column("PERSON"), Column("FROM (UTC)", always("dim")), Column("TO (UTC)", always("dim")), Column("BY")),
        Column("WHY", always("dim"), wide=True),
    )
    table(columns, [_override(each) for each in found], "Nobody stands in for anybody.")


def _override(each: dict[str, Any]) -> list[object]:
    why = each["end_reason"] or each["reason"]
    times = (wall(each[name], "UTC").removesuffix(" UTC") for name in ("starts", "ends"))
    return [each["id"], each["state"], each["rotation"], each["person"], *times, each["by"], why]


def _send(method: str, path: str, body: dict[str, Any], url: str, output: Form) -> None:
    from services.cli.client import connect

    with connect(url) as server:
        done = server.send(method, path, {name: value for name, value in body.items() if value is not None})
    answer(output, done, lambda: _say(done.get("items", [done])))


def _say(overrides: list[dict[str, Any]]) -> None:
    for each in overrides:
        time = f"from {wall(each['starts'], 'UTC')} to {wall(each['ends'], 'UTC')}"
        ended = f", {each['state']}" if each["state"] == "ended" else ""
        print(plain(f"{each['id']} {each['person']} is on call in {each['rotation']} {time}{ended}"))
