"""`tocsin policy test`: unit tests of a policy, as `promtool test rules` has them for rules."""

# ruff: noqa: PLC0415  imported when it is used

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import Form, Output
from services.cli.show import as_json, one_line, plain

if TYPE_CHECKING:
    from services.cli.policy.scenario import Failure, Played

BROKEN, FAILED = 2, 1
"""Exit statuses: a file cannot be read; a test failed."""


def test(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Files with tests.")],
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also print each decision with its reason.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Run the unit tests of a policy: what fires when, and what should come of it.

    Ends with status 1 when a test fails and with 2 when a file is broken; then each fault is printed at its line.
    """
    from services.runtime.errors import ConfigError

    told: list[dict[str, Any]] = []
    try:
        for file in files:
            results = _run(file)
            told.append({"file": str(file), "tests": [_data(played) for played in results]})
            if output is Form.TABLE:
                _print(file, results, verbose)
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(plain(fault), err=True)
        raise typer.Exit(BROKEN) from None
    failed = sum(not entry["ok"] for each in told for entry in each["tests"])
    if output is Form.JSON:
        print(as_json(told))
    else:
        count = sum(len(each["tests"]) for each in told)
        print(f"\n{count - failed} passed, {failed} failed")
    raise typer.Exit(FAILED if failed else 0)


def _run(file: Path) -> "list[Played]":
    """Raises `ConfigError` when the file or its policy is broken."""
    from services.cli.policy.scenario import play
    from services.cli.policy.testfile import CaseFile
    from services.config import ConfigFile
    from services.orchestrator.policyfile import policy_of
    from services.runtime.yamlfile import load

    tests, _ = load(file, CaseFile)
    config = ConfigFile.open(file.parent / tests.policy)
    policy = policy_of(config.config, config.hash)
    return [play(each, policy) for each in tests.tests]


def _data(played: "Played") -> dict[str, Any]:
    failures = [vars(failure) for failure in played.failures]
    return {"name": played.name, "ok": not failures, "failures": failures, "decisions": played.decisions}


def _print(file: Path, results: "Sequence[Played]", verbose: bool) -> None:
    print(plain(file))
    for played in results:
        good = typer.style("ok    ", fg="green") if not played.failures else typer.style("FAILED", fg="red", bold=True)
        typer.echo(f"  {good}  {one_line(played.name)}")
        for failure in played.failures:
            _explain(failure)
        if verbose:
            for decision in played.decisions:
                typer.echo(typer.style(f"            {one_line(decision)}", dim=True))


def _explain(failure: "Failure") -> None:
    typer.echo(f"          at {failure.at}, {one_line(failure.what)}")
    typer.echo(f"            expected  {one_line(failure.expected)}")
    typer.echo(f"            got       {one_line(failure.got)}")
    if failure.said:
        typer.echo(typer.style(f"            because   {one_line(failure.said)}", dim=True))
