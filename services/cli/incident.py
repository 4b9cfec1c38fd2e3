"""`tocsin incident …`: look at incidents."""

# ruff: noqa: PLC0415  imported when it is used

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import SEVERITY, STATE, Column, ago, always, answer, by, facts, moment, one_line, table

Name = Annotated[str, typer.Argument(metavar="INCIDENT", help="Like INC-42, inc-42 or 42.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many lines.")]

app = typer.Typer()


def place(incident: str, what: str = "") -> str:
    """The path of an incident, or of something below it."""
    return f"/api/v1/incidents/{quote(incident, safe='')}" + (f"/{what}" if what else "")


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also those that are over.")] = False,
    state: Annotated[str | None, typer.Option(help="Only in this state, like mitigated.")] = None,
    severity: Annotated[str | None, typer.Option(help="Only of this severity, like s1.")] = None,
    limit: Limit = 50,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Open incidents, newest first."""
    from services.cli.client import connect

    wanted = {"open": not everything and not state, "state": state, "severity": severity and severity.upper()}
    with connect(url) as server:
        found = server.items("/api/v1/incidents", limit, **wanted)
    answer(output, found, lambda: incidents_table(found))


def incidents_table(incidents: list[dict[str, Any]]) -> None:
    """Print incidents."""
    from services.runtime.clock import Clock

    now = Clock().now()
    columns = (
        *(Column("INCIDENT", always("bold")), Column("SEVERITY", by(SEVERITY)), Column("STATE", by(STATE))),
        *(Column("FIRING"), Column("SERVICES"), Column("OPENED", always("dim")), Column("TITLE", wide=True)),
    )
    table(columns, [_row(incident, now) for incident in incidents], "No incident is open.")


def _row(incident: dict[str, Any], now: datetime) -> list[object]:
    return [
        *(incident["id"], incident["severity"], incident["state"], incident["alerts"]["firing"]),
        *(", ".join(incident["services"]), ago(incident["opened_at"], now), incident["title"]),
    ]


@app.command()
def show(incident: Name, url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """One incident: how bad, since when, why, and what is proposed."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.get(place(incident))
    answer(output, found, lambda: _facts(found))


def _facts(incident: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in incident["alerts"].items() if count and state != "gating")
    proposal, update = incident["proposal"] or {}, incident["last_update"] or {}
    pinned = " (pinned)" if incident["severity_pinned"] else ""
    roles = [f"{role} {holder['person']} ({holder['state']})" for role, holder in incident["roles"].items() if holder]
    facts([
        ("incident", f"{incident['id']}  {one_line(incident['title'])}"),
        ("state", f"merged into {incident['merged_into']}" if incident["merged_into"] else incident["state"]),
        ("severity", f"{incident['severity']}{pinned}, worst so far {incident['highest_severity']}"),
        ("public", incident["public_state"]),
        ("services", ", ".join(incident["services"])),
        ("environment", incident["environment"]),
        ("alerts", counts),
        ("roles", ", ".join(roles)),
        ("opened", f"{moment(incident['opened_at'])} UTC by {one_line(incident['opened_by']['name'])}"),
        ("why", incident["reason"]),
        ("last update", update and f"{moment(update['at'])} UTC by {update['by']}: {update['text']}"),
        ("next update", moment(incident["next_update_due"])),
        ("proposed", proposal and f"{proposal['state']}: {proposal['reason']}"),
        ("mitigated", moment(incident["mitigated_at"])),
        ("resolved", moment(incident["resolved_at"])),
        *((name, link) for name, link in incident["links"].items()),
    ])  # fmt: skip


@app.command()
def timeline(incident: Name, limit: Limit = 500, url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """Everything that happened to an incident, in order, with who did it and why."""
    from services.cli.client import connect

    with connect(url) as server:
        lines = server.items(place(incident, "timeline"), limit)
    answer(output, lines, lambda: timeline_table(lines))


def timeline_table(lines: list[dict[str, Any]]) -> None:
    """Print a timeline."""
    columns = (
        *(Column("TIME (UTC)", always("dim")), Column("WHO", always("cyan"))),
        *(Column("WHAT", wide=True), Column("WHY", always("dim"), wide=True)),
    )
    rows = [[moment(line["occurred_at"]), line["actor"]["name"], line["text"], line["reason"]] for line in lines]
    table(columns, rows, "Nothing has happened.")


@app.command()
def alerts(incident: Name, limit: Limit = 100, url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """The alerts of an incident, with what was decided about each."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.items(place(incident, "alerts"), limit)
    answer(output, found, lambda: alerts_table(found))


def alerts_table(alerts: list[dict[str, Any]]) -> None:
    """Print alerts with their decisions, and where some are muted, by what."""
    muted = any(alert.get("muted_by") for alert in alerts)
    columns = (
        *(Column("FINGERPRINT", always("dim")), Column("ALERT", always("bold")), Column("SEVERITY", by(SEVERITY))),
        *(Column("STATE", by(STATE)), *([Column("MUTED BY", wide=True)] if muted else []), Column("STARTED", always("dim"))),
        *(Column("DECIDED"), Column("WHY", wide=True)),
    )
    table(columns, [_alert_row(alert, muted) for alert in alerts], "No alert belongs to it.")


def _alert_row(alert: dict[str, Any], muted: bool) -> list[object]:
    return [
        *(alert["fingerprint"], alert["name"], alert["severity"], alert["state"]),
        *([alert.get("muted_by")] if muted else []),
        *(moment(alert["starts_at"]), alert["decision"]["action"], alert["decision"]["reason"]),
    ]
