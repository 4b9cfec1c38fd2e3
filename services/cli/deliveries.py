"""`tocsin deliveries`: what became of the messages."""

# ruff: noqa: PLC0415  imported when it is used

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.options import LOCAL, Form, NotifierUrl, Output, Url
from services.cli.show import STATE, Column, ago, always, answer, by, one_line, table

app = typer.Typer(help="See what became of messages, and try failed ones again.")


@app.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    incident: Annotated[str | None, typer.Option(help="Only of this incident, like INC-42.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state: pending, sent, superseded, failed or unknown.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many lines.")] = 50,
    url: Url = LOCAL,
    notifier_url: NotifierUrl = None,
    output: Output = Form.TABLE,
) -> None:
    """Messages to people, newest first."""
    from services.cli.client import connect

    if context.invoked_subcommand:
        return
    with connect(notifier_url or url) as server:
        found = server.items("/api/v1/deliveries", limit, incident=incident and _canonical(incident), state=state)
    answer(output, found, lambda: deliveries_table(found))


def _canonical(incident: str) -> str:
    return f"INC-{incident}" if incident.isdecimal() else incident.upper()


def deliveries_table(deliveries: list[dict[str, Any]]) -> None:
    """Print deliveries."""
    from services.runtime.clock import Clock

    now = Clock().now()
    columns = (
        *(Column("ID", always("dim")), Column("PLANNED", always("dim")), Column("INCIDENT", always("bold"))),
        *(Column("TO"), Column("KIND"), Column("STATE", by(STATE)), Column("TRIES"), Column("WHAT", wide=True)),
    )
    table(columns, [_row(delivery, now) for delivery in deliveries], "No message was planned.")


def _row(delivery: dict[str, Any], now: datetime) -> list[object]:
    channel, destination = delivery["channel"], delivery["destination"]
    where = channel if channel == destination else f"{channel} {destination}"
    return [
        *(delivery["id"], ago(delivery["created_at"], now), delivery["incident"], where, delivery["kind"], delivery["state"]),
        *(delivery["attempts"], delivery["reason"] or delivery["headline"]),
    ]


@app.command()
def retry(
    id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
    url: Url = LOCAL,
    notifier_url: NotifierUrl = None,
    output: Output = Form.TABLE,
) -> None:
    """Try a failed message again, now."""
    from services.cli.client import connect

    with connect(notifier_url or url) as server:
        delivery = server.send("POST", f"/api/v1/deliveries/{quote(id, safe='')}/retry")
    answer(output, delivery, lambda: print(f"{one_line(id)} is {delivery['state']} again."))
