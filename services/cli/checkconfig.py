"""`tocsin check-config`: every fault of a configuration at once, at its line."""

# ruff: noqa: PLC0415  imported when it is used

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from services.cli.options import Form, Output
from services.cli.show import answer, one_line, plain

if TYPE_CHECKING:
    from services.config import Config, ConfigFile
    from services.runtime.errors import Fault


def check_config(
    file: Annotated[Path, typer.Argument(envvar="TOCSIN_CONFIG_FILE", help="The file to check.")] = Path("tocsin.yaml"),
    output: Output = Form.TABLE,
) -> None:
    """Check a configuration with all that it includes.

    Prints `file:line:column: message` for each fault, and ends with status 1 if there is one. What is probably not meant is
    a warning: `file:line:column: warning: message`.
    """
    from services.config import ConfigFile
    from services.runtime.errors import ConfigError

    try:
        found = ConfigFile.open(file)
    except ConfigError as error:
        _refuse(output, error.faults)
    if found.shadow_faults:
        _refuse(output, found.shadow_faults)
    answer(output, _as_data(found), lambda: _tell(found))


def _refuse(output: Form, faults: "Sequence[Fault]") -> NoReturn:
    answer(output, {"ok": False, "faults": _places(faults), "warnings": []}, lambda: _print(faults))
    raise typer.Exit(1) from None


def _as_data(found: "ConfigFile") -> dict[str, object]:
    files = [str(path) for path in found.files]
    told = {"summary": summary(found.config), "warnings": _places(found.warnings)}
    return {"ok": True, "hash": found.hash, "files": files} | told


def _places(faults: "Sequence[Fault]") -> list[dict[str, object]]:
    return [vars(fault) for fault in faults]


def _tell(found: "ConfigFile") -> None:
    _print(found.warnings)
    more = f" ({len(found.files)} files)" if len(found.files) > 1 else ""
    print(f"OK {found.hash}{more}", *summary(found.config), sep="\n  ")


def _print(faults: "Sequence[Fault]") -> None:
    for fault in faults:
        print(plain(fault))


def summary(config: "Config") -> list[str]:
    """What the configuration says, in a few lines."""
    return [*_deciding(config), *_surroundings(config)]


def _deciding(config: "Config") -> Iterator[str]:
    from services.runtime.durations import format_duration

    severity, timers, guard = config.severity, config.timers, config.guard
    raising = f"; {_count(severity.rules, 'rule')} may raise an incident" if severity.rules else ""
    yield f"severity from the label {one_line(severity.label)!r}, {len(severity.map)} words beside s1 … s4{raising}"
    other = f"; {_count(config.correlation.rules, 'rule')} for others" if config.correlation.rules else ""
    yield f"alerts belong together by {', '.join(map(one_line, config.correlation.by))}{other}"
    actions = Counter(rule.action.value for rule in config.rules)
    told = ", ".join(f"{number} {action}" for action, number in actions.items()) or "none, S1 and S2 open incidents"
    yield f"rules: {told}"
    quiet, refire = format_duration(timers.quiet_period), format_duration(timers.refire_window)
    yield f"mitigation proposed after {quiet}, reopened within {refire}, stale after {format_duration(timers.stale_after)}"
    yield f"guard: at most {guard.openings} incidents open within {format_duration(guard.within)}"
    yield f"dependencies: {', '.join(map(one_line, config.dependencies)) or 'none'}"
    yield f"maintenance: {', '.join(one_line(each.name) for each in config.maintenance) or 'none'}"
    yield f"SLOs: {', '.join(one_line(slo.name) for slo in config.slos) or 'none'}"


def _surroundings(config: "Config") -> Iterator[str]:
    peers = config.alertmanager.urls if config.alertmanager else []
    yield f"Alertmanager: {', '.join(map(one_line, peers)) or 'not asked, only heard'}"
    yield f"Prometheus: {one_line(config.prometheus.url) if config.prometheus else 'not asked'}"
    if config.shadow:
        yield f"shadow: {one_line(config.shadow.file)} is tried beside it, without effect"
    yield f"Slack: {one_line(config.slack.channel) if config.slack else 'not configured, messages go to the board only'}"
    yield from _duty(config)
    senders = sum("alerts" in token.scopes or "admin" in token.scopes for token in config.access.tokens)
    yield f"{len(config.access.tokens)} tokens, {senders} of them may send alerts; {len(config.people)} people"


def _duty(config: "Config") -> Iterator[str]:
    """Who takes turns, and when."""
    from services.config import written_interval

    for rotation in config.rotations:
        services = f" for {', '.join(map(one_line, rotation.services))}" if rotation.services else ""
        layers = [
            f"{', '.join(one_line(member.person) for member in layer.people)} every {written_interval(layer.every)}"
            for layer in rotation.layers
        ]
        told = "; ".join([*layers, *(["a calendar"] if rotation.feed else [])])
        yield f"on call as {rotation.role.upper()}{services} by {rotation.name}: {told}"
    if not config.rotations:
        yield "on call: no rotations"


def _count(things: "Sequence[object]", word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
