"""The rows of the report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure with the aim it is held against and the raw numbers behind it."""

    what: str
    figure: str
    aim: str
    met: bool
    raw: str = ""


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def render(rows: Sequence[Row], machine: str) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; everything in one run on one machine, so trust the ratios more than the times.",
        f"Machine: {machine}. Kafka, PostgreSQL, the load and Tocsin share its cores.",
        "",
        "| what | measured | aim | met | raw |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.figure} | {row.aim} | {'yes' if row.met else 'no'} | {row.raw} |" for row in rows),
        "",
        "How each figure comes about is in the docstrings of `tests/benchmarks/`.",
        "",
    ]
    return "\n".join(lines)
