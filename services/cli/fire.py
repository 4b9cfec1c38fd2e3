"""`tocsin fire`: one alert, sent as Alertmanager would."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated

import typer

from services.cli.options import LOCAL, Form, Output, Url
from services.cli.show import answer

Pairs = list[str] | None


def _pairs(given: Pairs) -> dict[str, str]:
    pairs = dict(one.split("=", 1) for one in given or () if "=" in one)
    wrong = [one for one in given or () if "=" not in one or one.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r}: expected name=value")
    return pairs


def fire(
    alertname: Annotated[str, typer.Argument(help="The alert's name.")] = "TocsinTest",
    severity: Annotated[str, typer.Option(help="Its severity label; s1 and s2 open incidents.")] = "s3",
    label: Annotated[Pairs, typer.Option(help="A further label, name=value; may be given again.")] = None,
    annotation: Annotated[Pairs, typer.Option(help="An annotation, name=value; may be given again.")] = None,
    resolve: Annotated[bool, typer.Option("--resolve", help="Say that it is over.")] = False,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Send one alert to the webhook, to try a policy out."""
    from services.cli.client import connect
    from services.cli.webhook import PATH, Alert, body
    from services.runtime.clock import Clock

    now = Clock().now()
    labels = {"alertname": alertname, "severity": severity} | _pairs(label)
    alert = Alert(labels, _pairs(annotation), starts_at=now, ends_at=now if resolve else None)
    with connect(url) as server:
        receipt = server.send("POST", PATH, body([alert]))

    def told() -> None:
        print(f"{alertname} is {alert.status}: accepted as {alert.fingerprint}.")
        print(f"What was decided, and why: tocsin explain {alert.fingerprint}")

    answer(output, receipt | {"fingerprint": alert.fingerprint}, told)
