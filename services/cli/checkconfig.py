"""`tocsin check-config`: every fault of a configuration at once, at its line."""

# ruff: noqa: PLC0415  imported when it is used

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Form, Output
from services.cli.show import answer, one_line, plain

if TYPE_CHECKING:
    from services.config import Config
    from services.runtime.errors import Fault


def check_config(
    file: Annotated[Path, typer.Argument(envvar="TOCSIN_CONFIG_FILE", help="The file to check.")] = Path("tocsin.yaml"),
    output: Output = Form.TABLE,
) -> None:
    """Check a configuration. Prints `file:line:column: message` for each fault, and ends with status 1 if there is one."""
    from services.config import ConfigFile
    from services.runtime.errors import ConfigError

    try:
        found = ConfigFile.open(file)
    except ConfigError as error:
        faults = error.faults
        answer(output, {"ok": False, "faults": [vars(fault) for fault in faults]}, lambda: _print(faults))
        raise typer.Exit(1) from None
    lines = summary(found.config)
    answer(output, {"ok": True, "hash": found.hash, "summary": lines}, lambda: print(f"OK {found.hash}", *lines, sep="\n  "))


def _print(faults: "list[Fault]") -> None:
    for fault in faults:
        print(plain(fault))


def summary(config: "Config") -> list[str]:
    """What the configuration says, in a few lines."""
    timers = config.timers
    slack = one_line(config.slack.channel) if config.slack else "not configured, messages go to the board only"
    senders = sum("alerts" in token.scopes or "admin" in token.scopes for token in config.access.tokens)
    return [
        f"severity from the label {one_line(config.severity.label)!r}, {len(config.severity.map)} words beside s1 … s4",
        f"alerts belong together by {', '.join(map(one_line, config.correlation.by))}",
        f"mitigation proposed after {timers.quiet_period}, reopened within {timers.refire_window} (h:mm:ss)",
        f"Slack: {slack}",
        f"{len(config.access.tokens)} tokens, {senders} of them may send alerts; {len(config.people)} people",
    ]
