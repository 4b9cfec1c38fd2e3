"""`tocsin triage`: are we having one? The verdict first, then why, then what to type, then what was looked at."""

# ruff: noqa: PLC0415  imported when it is used

from datetime import datetime
from typing import Any

import typer

from services.cli.incident import incidents_table
from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import Column, ago, always, answer, by, one_line, table

_VERDICT = {"incident": "red", "likely": "yellow", "unclear": "cyan", "quiet": "green"}
_LEVEL = {
    **dict.fromkeys(("outage", "saturated"), "bold red"),
    "degraded": "bold yellow",
    "unknown": "yellow",
    "ok": "green",
}


def triage(url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """Are we having one? What fires, how services are, what is open, and a verdict with its reasons."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.get("/api/v1/triage")
    answer(output, found, lambda: _told(found))


def _told(found: dict[str, Any]) -> None:
    now = datetime.fromisoformat(found["at"])
    verdict = one_line(found["verdict"])
    typer.echo(f"{typer.style(verdict, fg=_VERDICT.get(verdict), bold=True)}  {one_line(found['summary'])}")
    _block("Why:", [f"- {one_line(reason)}" for reason in found["reasons"]])
    _block("To start one:", [one_line(found["command"])] if found["command"] else [])
    _alerts(found, now)
    _evidence(found, now)
    _incidents(found)


def _block(title: str, lines: list[str]) -> None:
    if lines:
        typer.echo("\n" + typer.style(title, bold=True))
        for line in lines:
            typer.echo(f"  {line}")


def _alerts(found: dict[str, Any], now: datetime) -> None:
    columns = (
        *(Column("SERVICE", always("bold")), Column("FIRING", wide=True), Column("MUTED"), Column("STALE")),
        *(Column("OLDEST", always("dim")), Column("INCIDENTS", wide=True)),
    )
    print()
    table(columns, [_service(service, now) for service in found["services"]], "No alert is open.")
    _more(found["more_services"], "services")


def _service(service: dict[str, Any], now: datetime) -> list[object]:
    firing = ", ".join(f"{count} {severity}" for severity, count in service["firing"].items() if count)
    incidents = ", ".join(service["incidents"][:5]) + (" …" if len(service["incidents"]) > 5 else "")
    return [
        *(service["service"] or "(none)", firing or "-", service["muted"] or "-", service["stale"] or "-"),
        *(ago(service["oldest_start"], now) or "-", incidents or "-"),
    ]


def _evidence(found: dict[str, Any], now: datetime) -> None:
    rows = [_level(slo, slo["level"], now) for slo in found["slos"]]
    rows += [_level(each, _SATURATED[each["saturated"]], now) for each in found["saturation"]]
    columns = (
        *(Column("SLO OR RESOURCE", always("bold")), Column("STATE", by(_LEVEL))),
        *(Column("VALUE"), Column("SINCE", always("dim"))),
    )
    nothing = "No SLO is configured." if found["prometheus"]["configured"] else "No Prometheus is configured."
    print()
    table(columns, rows, nothing)
    shown = [each for each in (*found["slos"], *found["saturation"]) if each["dashboard"]]
    # Not in the table: an address that is broken into lines cannot be opened.
    _block("Dashboards:", [f"{one_line(each['name'])}: {one_line(each['dashboard'])}" for each in shown])


_SATURATED = {True: "saturated", False: "ok", None: "unknown"}


def _level(state: dict[str, Any], level: str, now: datetime) -> list[object]:
    value = "-" if state["value"] is None else f"{state['value']:.4g}"
    return [state["name"], level, value, ago(state["since"], now) or "-"]


def _incidents(found: dict[str, Any]) -> None:
    print()
    incidents_table(found["incidents"])
    _more(found["more_incidents"], "incidents")


def _more(number: int, what: str) -> None:
    if number:
        typer.echo(typer.style(f"and {number:,} more {what}", dim=True))
