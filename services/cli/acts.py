"""`tocsin incident …`: what people do to an incident. Each answers with the incident as it then is."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated, Any

import typer

from services.cli.incident import Name, place
from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import answer, one_line

Why = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the timeline.")]
Text = Annotated[str, typer.Argument(help="What to say.")]
Severity = Annotated[str, typer.Argument(metavar="SEVERITY", help="s1 (worst) to s4.")]

app = typer.Typer()


def _act(method: str, path: str, body: dict[str, Any], url: str, output: Form) -> None:
    from services.cli.client import connect

    with connect(url) as server:
        incident = server.send(method, path, {name: value for name, value in body.items() if value is not None})
    answer(output, incident, lambda: _told(incident))


def _told(incident: dict[str, Any]) -> None:
    pinned = " (pinned)" if incident["severity_pinned"] else ""
    state = f"{incident['state']}, {incident['severity']}{pinned}, told to the public as {incident['public_state']}"
    print(f"{incident['id']} is {state}: {one_line(incident['title'])}")


@app.command()
def declare(
    title: Annotated[str, typer.Argument(help="What is wrong, in a few words.")],
    severity: Annotated[str, typer.Option("--severity", "-s", help="s1 (worst) to s4.")],
    service: Annotated[list[str] | None, typer.Option(help="An affected service; may be given again.")] = None,
    reason: Why = "declared by hand",
    drill: Annotated[bool, typer.Option("--drill", help="It is an exercise.")] = False,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Begin an incident by hand."""
    body = {"title": title, "severity": severity, "services": service or [], "reason": reason, "drill": drill}
    _act("POST", "/api/v1/incidents", body, url, output)


@app.command()
def severity(
    incident: Name,
    severity: Severity,
    reason: Why,
    pin: Annotated[bool, typer.Option(help="Whether rules may no longer raise it.")] = True,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Judge how bad it is."""
    _act("PUT", place(incident, "severity"), {"severity": severity, "reason": reason, "pin": pin}, url, output)


@app.command()
def unpin(incident: Name, reason: Why = "unpinned by hand", url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """Let rules raise the severity again."""
    _act("DELETE", place(incident, "severity-pin"), {"reason": reason}, url, output)


@app.command("public-state")
def public_state(
    incident: Name,
    state: Annotated[str, typer.Argument(help="investigating, identified, monitoring or resolved.")],
    reason: Why,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Set what the public is told."""
    _act("PUT", place(incident, "public-state"), {"state": state, "reason": reason}, url, output)


@app.command()
def update(
    incident: Name,
    text: Text,
    next_in: Annotated[str | None, typer.Option("--next-in", help="Promise when people hear more, like 30m.")] = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Say something to everybody who follows the incident."""
    _act("POST", place(incident, "updates"), {"text": text, "next_in": next_in}, url, output)


@app.command()
def note(incident: Name, text: Text, url: Url = LOCAL, output: Output = Form.TABLE) -> None:
    """Keep a line in the timeline; it is told to nobody."""
    _act("POST", place(incident, "notes"), {"text": text}, url, output)


@app.command()
def merge(
    incident: Name,
    into: Annotated[str, typer.Option("--into", metavar="INCIDENT", help="The one that goes on, with the alerts of both.")],
    reason: Why,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """It is the same trouble as another incident, which goes on with its alerts. Shows that one."""
    _act("POST", place(incident, "merge"), {"into": into, "reason": reason}, url, output)


@app.command()
def split(
    incident: Name,
    alert: Annotated[list[str], typer.Option("--alert", metavar="FINGERPRINT", help="An alert to take out; may be given again.")],
    reason: Why,
    title: Annotated[str | None, typer.Option(help="What the new incident is called; else after its first alert.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", "-s", help="s1 to s4; else that of its worst alert.")] = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Some of its alerts are another trouble: they become an incident of their own. Shows the new one."""
    body = {"alerts": alert, "title": title, "severity": severity, "reason": reason}
    _act("POST", place(incident, "split"), body, url, output)


def _add_step(step: str, meaning: str) -> None:
    @app.command(step, help=meaning)
    def move(incident: Name, reason: Why, url: Url = LOCAL, output: Output = Form.TABLE) -> None:
        _act("POST", place(incident, step), {"reason": reason}, url, output)


for _step, _meaning in {
    "promote": "It is more than a suspicion: a triage incident becomes an active one.",
    "mitigate": "The impact is over; the cause may not be. Accepts a proposal.",
    "resolve": "The incident is over.",
    "reopen": "It was not over after all.",
    "dismiss": "It was a false alarm.",
}.items():
    _add_step(_step, _meaning)
