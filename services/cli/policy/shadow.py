"""`tocsin policy shadow`: what the candidate that runs beside the policy would do otherwise."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any

import typer

from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import SEVERITY, Column, always, answer, by, facts, moment, table

_PATH = "/api/v1/shadow"


def shadow(
    since: Annotated[str | None, typer.Option(help="Since when: like 2026-11-01T00:00:00Z, or like 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many incidents.")] = 50,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """What the candidate that runs beside the policy would do otherwise."""
    from services.cli.client import connect

    with connect(url) as server:
        found = server.get(_PATH, since=since, limit=1)
        found["items"] = server.items(_PATH, limit, since=since)
    del found["next"]
    answer(output, found, lambda: _tell(found))


def _tell(found: dict[str, Any]) -> None:
    candidate = found["candidate"]
    facts([
        ("candidate", f"{candidate['file']}{'' if candidate['valid'] else ' is broken: `tocsin check-config` tells where'}"),
        ("", f"{candidate['policy']}{'' if candidate['valid'] else ' goes on'}" if candidate["policy"] else "none runs"),
        ("policy", found["policy"]),
        ("compared", _compared(found)),
        ("incidents", _incidents(found["incidents"]) if found["since"] else ""),
    ])  # fmt: skip
    if found["moves"]:
        print()
        columns = (Column("WAS"), Column("WOULD BE"), Column("DECISIONS"))
        table(columns, [[move["was"], move["would_be"], move["count"]] for move in found["moves"]], "")
    if found["items"]:
        print()
        _differences(found["items"])


def _compared(found: dict[str, Any]) -> str:
    if not found["since"]:
        return "nothing yet"
    behind = f", {found['behind']} are to be compared" if found["behind"] else ""
    return f"{found['decisions']} decisions since {moment(found['since'])} UTC, {found['same']} the same{behind}"


_WORDS = {
    "would_open": "would open",
    "would_not_open": "would not open",
    "would_open_earlier": "would open earlier",
    "would_open_later": "would open later",
    "severity": "would have another severity",
    "triage": "would be in triage, or no longer",
}


def _incidents(counts: dict[str, int]) -> str:
    told = ", ".join(f"{counts[kind]} {word}" for kind, word in _WORDS.items() if counts[kind])
    return f"{counts['was']} opened, {counts['would_be']} would be{': ' if told else ''}{told}"


def _differences(items: list[dict[str, Any]]) -> None:
    columns = (
        *(Column("INCIDENT", always("bold")), Column("WHAT"), Column("OPENED (UTC)", always("dim")), Column("ALERT")),
        *(Column("WAS", by(SEVERITY)), Column("WOULD BE", by(SEVERITY)), Column("WHY", wide=True)),
    )
    rows = [
        [
            *(each["incident"] or each["would_be_incident"], each["what"], moment(each["at"]), each["alert"]),
            *(each["was"], each["would_be"], each["why"]),
        ]
        for each in items
    ]
    table(columns, rows, "")
