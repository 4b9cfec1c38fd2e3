"""`tocsin explain`: why Tocsin decided as it did."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any
from urllib.parse import quote

import typer

from schemas.ids import incident_number
from services.cli.incident import alerts_table, place
from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import answer, facts, moment, one_line

FINGERPRINT = 16


def explain(
    what: Annotated[str, typer.Argument(metavar="FINGERPRINT|INCIDENT", help="An alert's fingerprint, or like INC-42.")],
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Why an alert opened, joined or did not open an incident; or why an incident exists."""
    from services.cli.client import connect

    with connect(url) as server:
        if incident_number(what) is None and not _is_number(what):
            told = server.get(f"/api/v1/alerts/{quote(what, safe='')}/explain")
            answer(output, told, lambda: _alert(told))
        else:
            told = {"incident": server.get(place(what)), "alerts": server.items(place(what, "alerts"), 100)}
            answer(output, told, lambda: _incident(told["incident"], told["alerts"]))


def _is_number(what: str) -> bool:
    """`42` is INC-42; a fingerprint of decimal digits only has sixteen of them."""
    return what.isdecimal() and len(what) < FINGERPRINT


def _alert(told: dict[str, Any]) -> None:
    labels = ", ".join(f"{name}={one_line(value)}" for name, value in sorted(told["labels"].items()))
    facts([("alert", told["fingerprint"]), ("labels", labels)])
    for firing in told["firings"]:
        decision = firing["decision"]
        print()
        facts([
            ("fired", f"{moment(firing['starts_at'])} UTC, now {firing['state']}"),
            ("ended", moment(firing["ends_at"])),
            ("muted", firing.get("muted_by")),
            ("decided", f"{decision['action']} {decision['incident'] or ''}".strip()),
            ("why", decision["reason"]),
            ("rule", f"{decision['rule']} of policy {decision['policy']}"),
            ("facts", "\n".join(f"{name} = {one_line(value)}" for name, value in decision["facts"].items() if value is not None)),
            ("later", "\n".join(_later(later) for later in firing["later"])),
        ])  # fmt: skip


def _later(later: dict[str, Any]) -> str:
    return f"{moment(later['at'])} {later['event']} {later['incident'] or ''}: {one_line(later['reason'])}"


def _incident(incident: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    by = incident["opened_by"]
    policy = f" of policy {by['policy']}" if by.get("policy") else ""
    facts([
        ("incident", f"{incident['id']}  {one_line(incident['title'])}"),
        ("opened", f"{moment(incident['opened_at'])} UTC by {by['kind']} {one_line(by['name'])}{policy}"),
        ("why", incident["reason"]),
        ("key", incident["correlation_key"]),
    ])  # fmt: skip
    print()
    alerts_table(alerts)
