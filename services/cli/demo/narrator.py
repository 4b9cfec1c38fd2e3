"""How the story is told in the terminal; without one, as plain text. Light to import: it speaks before the stage is built."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from services.cli.show import Column, always, by, one_line, table
from services.runtime.clock import Clock

Json = Mapping[str, Any]

WIDTH = 100

_PREFACE = (
    "Everything you see is real: alerts come in through the webhook, Tocsin decides and says why, people are told. "
    "It runs on a free port in a temporary folder and leaves nothing behind."
)
_KINDS = {"reply": "bold", "summary": "dim"}
_NEXT = (
    ("tocsin serve", "run it for yourself; state in ./data, nothing to install"),
    ("tocsin alertmanager-snippet", "what to put into Alertmanager's configuration"),
    ("tocsin fire --severity s1", "send it an alert by hand"),
    ("tocsin incident list", "what is open; `tocsin incident --help` for all that people can do"),
    ("tocsin explain INC-1", "why Tocsin decided as it did"),
)


class Narrator:
    """Prints. `pause` is how many seconds the listener gets to read each step."""

    def __init__(self, pause: float) -> None:
        terminal = Console(highlight=False)
        narrow = terminal.is_terminal and terminal.width < WIDTH
        self._out = terminal if narrow else Console(highlight=False, width=WIDTH)
        self._pause, self._clock, self._step = pause, Clock(), 0
        self._began = self._clock.monotonic()

    def curtain(self) -> None:
        """What is going to happen."""
        self._out.print(Rule(Text("Tocsin: a short outage, from the first alert to the end", style="bold"), style="red"))
        self._print(Text(_PREFACE), "")

    async def step(self, title: str, does: str) -> None:
        """Something begins to happen outside of Tocsin."""
        if self._step and self._pause:
            await self._clock.sleep(self._pause)
        self._step += 1
        elapsed = f"{self._clock.monotonic() - self._began:5.1f} s"
        self._out.print()
        self._out.print(Text.assemble((f" {self._step} ", "bold white on red"), " ", (title, "bold"), (f"  {elapsed}", "dim")))
        self._print(Text(one_line(does)), "    ")

    def outcome(self, what: str, why: str) -> None:
        """What Tocsin made of it."""
        self._print(Text(one_line(what), style="bold"), "    → ")
        if why:
            self._print(Text(one_line(why), style="dim italic"), "      ")

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Shows on a terminal that it waits."""
        return self._out.status(Text(what, style="dim"), spinner="dots")

    def timeline(self, incident: str, lines: Sequence[Json]) -> None:
        """The whole timeline."""
        self._title(f"The timeline of {incident}")
        columns = (Column("TIME (UTC)", always("dim")), Column("WHO", always("cyan")), Column("WHAT", wide=True))
        table(columns, [[_time(line["occurred_at"]), line["actor"]["name"], line["text"]] for line in lines], "")

    def messages(self, deliveries: Sequence[Json], timeline: Sequence[Json]) -> None:
        """Every message, how long it took, and what of the timeline it tells."""
        self._title("The messages on the board (and in Slack, once it is configured)")
        columns = (
            *(Column("DELIVERED", always("dim")), Column("AFTER", lambda _: "dim"), Column("MESSAGE", by(_KINDS))),
            Column("WHAT IT TELLS", wide=True),
        )
        sent = [delivery for delivery in deliveries if delivery["state"] != "superseded"]
        told = {line["seq"]: line["text"] for line in timeline}
        table(columns, [_message(delivery, told) for delivery in sorted(sent, key=_when)], "none")
        if len(sent) < len(deliveries):
            self._print(Text(f"{len(deliveries) - len(sent)} more were superseded: a newer state was sent instead.", "dim"), "")

    def stays(self, url: str, token: str) -> None:
        """How to look at it in the browser."""
        self._title("It keeps running")
        self._out.print(Text.assemble("  board     ", (f"{url}/", "bold")), soft_wrap=True)
        self._out.print("  log in    any user, and as password this token, which ends with the demonstration:")
        self._out.print(Text(f"            {token}"), soft_wrap=True)
        self._out.print("  Ctrl-C stops it and removes everything.")
        sys.stdout.flush()

    def farewell(self) -> None:
        """Where to go from here."""
        self._title("Where to go from here")
        for command, meaning in _NEXT:
            self._out.print(Text.assemble("  ", (f"{command:<30}", "bold"), (meaning, "dim")), soft_wrap=True)

    def _title(self, text: str) -> None:
        self._out.print()
        self._out.print(Rule(Text(text, style="bold"), align="left", style="dim"))

    def _print(self, text: Text, before: str) -> None:
        """Wrapped, below what stands before it."""
        for line in text.wrap(self._out, self._out.width - len(before)):
            line.rstrip()
            self._out.print(Text.assemble((before, "bold red"), line))
            before = " " * len(before)


def _time(value: str) -> str:
    return f"{datetime.fromisoformat(value):%H:%M:%S.%f}"[:-3]


def _when(delivery: Json) -> str:
    return str(delivery["sent_at"] or delivery["created_at"])


def _message(delivery: Json, told: Mapping[int, str]) -> list[object]:
    """A summary is one message that lives as long as the incident; a reply stands below it."""
    after = ""
    if delivery["sent_at"]:
        waited = datetime.fromisoformat(delivery["sent_at"]) - datetime.fromisoformat(delivery["created_at"])
        after = f"{waited.total_seconds() * 1000:.0f} ms"
    says = told.get(delivery["version"], delivery["headline"])
    if delivery["state"] != "sent":
        says = f"{delivery['state']}: {delivery['reason']}"
    return [_time(_when(delivery)), after, delivery["kind"], says]
