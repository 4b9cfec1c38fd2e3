"""How a replay's report looks: data for programs, tables for people."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from services.cli.show import SEVERITY, Column, always, facts, table
from services.orchestrator.domain.spoken import count

if TYPE_CHECKING:
    from datetime import datetime

    from services.orchestrator.handlers.replay import Replayed


def as_data(found: "Replayed", policy: str, limit: int) -> dict[str, Any]:
    """For programs; at most so many incidents."""
    report, start = found.report, found.extent.start
    changes = report.changes.most_common()
    return {
        "policy": policy,
        "since": report.since,
        "until": found.until,
        "warmed_up_from": start if start < report.since else None,
        "decisions": report.decisions,
        "same": report.same,
        "by_another_rule": report.by_another_rule,
        "changes": [{"was": was, "would_be": would_be, "count": count} for (was, would_be), count in changes],
        "not_applied": dict(report.inapplicable),
        "unseen_slos": list(found.unseen),
        "incidents": {
            "was": sum(each.at >= report.since for each in report.was_opened.values()),
            "would_be": sum(each.at >= report.since for each in report.openings.values()),
        },
        "differences": len(found.differences),
        "items": [vars(each) for each in found.differences[:limit]],
    }


def tell(file: str, told: Mapping[str, Any]) -> None:
    """For people: the sums first, then each incident that differs."""
    facts([
        ("policy", f"{file}  {told['policy']}"),
        ("compared", f"{count(told['decisions'], 'decision')} since {_moment(told['since'])} UTC, {_same(told)}"),
        ("incidents", f"{told['incidents']['was']:,} were opened, {told['incidents']['would_be']:,} would have been"),
        ("left out", _left_out(told["not_applied"])),
        ("unknown", _unknown(told["unseen_slos"])),
    ])  # fmt: skip
    if told["changes"]:
        print()
        rows = [[each["was"], each["would_be"], f"{each['count']:,}"] for each in told["changes"]]
        table((Column("WAS"), Column("WOULD BE"), Column("DECISIONS")), rows, "")
    print()
    _incidents(told)


def _same(told: Mapping[str, Any]) -> str:
    same = "all the same" if told["same"] == told["decisions"] else f"{told['same']:,} the same"
    return f"{same} ({told['by_another_rule']:,} of them by another rule)" if told["by_another_rule"] else same


def _left_out(words: Mapping[str, int]) -> str:
    """What people did and could not have done."""
    listed = ", ".join(f"{times:,} × {word}" for word, times in words.items())
    return f"{listed} by people, on incidents that would not be there or not be so far" if words else ""


def _unknown(slos: list[str]) -> str:
    return f"no decision has looked at these SLOs, so they count for nothing: {', '.join(slos)}" if slos else ""


def _incidents(told: Mapping[str, Any]) -> None:
    columns = (
        *(Column("INCIDENT", always("bold")), Column("WHAT"), Column("OPENED (UTC)", always("dim")), Column("ALERT")),
        *(Column("WAS", _severity), Column("WOULD BE", _severity), Column("WHY", wide=True)),
    )
    rows = [
        [each["incident"], each["what"], _moment(each["at"]), each["alert"], each["was"], each["would_be"], each["why"]]
        for each in told["items"]
    ]
    table(columns, rows, "Each incident would have been the same.")
    if told["differences"] > len(rows):
        print(f"\n{len(rows)} of {told['differences']:,} incidents that differ; --limit shows more.")


def _severity(text: str) -> str:
    """As severities look everywhere: `S2 in triage` like S2."""
    return SEVERITY.get(text[:2], "")


def _moment(when: "datetime") -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}"
