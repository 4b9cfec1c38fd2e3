"""`tocsin explain`: why Tocsin decided as it did."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any
from urllib.parse import quote

import typer

from schemas.ids import incident_number
from services.cli.incident import place
from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import SEVERITY, STATE, Column, always, answer, by, facts, moment, one_line, table

FINGERPRINT = 16


def explain(
    what: Annotated[str, typer.Argument(metavar="FINGERPRINT|INCIDENT", help="An alert's fingerprint, or like INC-42.")],
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Why an alert opened, joined or did not open an incident; or why an incident exists."""
    from services.cli.client import connect

    of_alert = incident_number(what) is None and not _is_number(what)
    with connect(url) as server:
        told = server.get(f"/api/v1/alerts/{quote(what, safe='')}/explain" if of_alert else place(what, "explain"))
    answer(output, told, lambda: _alert(told) if of_alert else _incident(told))


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
            ("ended", firing["ends_at"] and f"{moment(firing['ends_at'])} UTC"),
            ("muted", firing.get("muted_by")),
            ("decided", f"{decision['action']} {decision['incident'] or ''}".strip()),
            ("why", decision["reason"]),
            ("rule", _rule(decision["rule"], decision["rule_text"])),
            ("policy", decision["policy"]),
            ("facts", "\n".join(_fact(name, value) for name, value in decision["facts"].items() if value is not None)),
            ("later", "\n".join(_later(later) for later in firing["later"])),
        ])  # fmt: skip


def _rule(name: str, text: str | None) -> str:
    """The rule's name, and what it says: a sentence, or its lines in the policy."""
    return f"{one_line(name)}\n{text}" if text else f"{one_line(name)} (its policy was not kept)"


def _fact(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{name} = " + ", ".join(f"{one_line(key)}: {one_line(part)}" for key, part in value.items())
    return f"{name} = {one_line(value)}"


def _later(later: dict[str, Any]) -> str:
    return f"{moment(later['at'])} {later['event']} {later['incident'] or ''}: {one_line(later['reason'])}"


def _incident(told: dict[str, Any]) -> None:
    incident, policy = told["incident"], told["policy"]
    opened_by, merged = incident["opened_by"], incident["merged_into"]
    first_used = f", which first decided {moment(policy['first_used_at'])} UTC" if policy else ""
    rule = _rule(opened_by["name"], told["rule_text"]) if opened_by["policy"] else None
    facts([
        ("incident", f"{incident['id']}  {one_line(incident['title'])}"),
        ("opened", f"{moment(incident['opened_at'])} UTC by {opened_by['kind']} {one_line(opened_by['name'])}"),
        ("why", incident["reason"]),
        ("key", incident["correlation_key"]),
        ("rule", rule),
        ("policy", rule and f"{opened_by['policy']}{first_used}"),
        ("merged", merged and f"into {merged}, which has its alerts now"),
    ])  # fmt: skip
    if merged:
        return
    print()
    _alerts(told["alerts"])
    count = sum(incident["alerts"][state] for state in ("firing", "muted", "stale", "resolved"))
    if count > len(told["alerts"]):
        print(f"These are the first {len(told['alerts'])} of {count}.")


def _alerts(alerts: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("FINGERPRINT", always("dim")), Column("ALERT", always("bold")), Column("SEVERITY", by(SEVERITY))),
        *(Column("STATE", by(STATE)), Column("DECIDED"), Column("RULE"), Column("WHY", wide=True), Column("LATER", wide=True)),
    )
    table(columns, [_row(alert) for alert in alerts], "No alert belongs to it.")


def _row(alert: dict[str, Any]) -> list[object]:
    decision, later = alert["decision"], [f"{turn['event']} {turn['incident'] or ''}".strip() for turn in alert["later"]]
    decided = f"{decision['action']} {decision['incident'] or ''}".strip()
    return [
        *(alert["fingerprint"], alert["name"], alert["severity"], alert["state"]),
        *(decided, decision["rule"], decision["reason"], ", ".join(later)),
    ]
