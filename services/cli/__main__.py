"""`tocsin`: the entry point."""

import sys

import typer

from services.cli import acts, deadletters, deliveries, incident, maintenance, policy, schemas, standins, tokens
from services.cli.checkconfig import check_config
from services.cli.demo.command import demo
from services.cli.doctor.command import doctor
from services.cli.explain import explain
from services.cli.fire import fire
from services.cli.oncall import oncall
from services.cli.serve import serve
from services.cli.snippet import alertmanager_snippet
from services.cli.triage import triage


def build() -> typer.Typer:
    """The whole command line, in the order in which people meet it."""
    app = typer.Typer(
        name="tocsin",
        help="Turns alerts into well-run incidents. Begin with `tocsin demo`.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # the decorated help takes three times as long to come up
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(demo)
    app.command()(serve)
    app.command()(fire)
    app.command()(triage)
    app.add_typer(_incident(), name="incident")
    app.command()(explain)
    app.add_typer(_oncall(), name="oncall")
    app.add_typer(maintenance.app, name="maintenance")
    app.add_typer(deliveries.app, name="deliveries")
    app.command("check-config")(check_config)
    app.add_typer(policy.app, name="policy")
    app.command("alertmanager-snippet")(alertmanager_snippet)
    app.add_typer(tokens.app, name="token")
    app.command()(doctor)
    app.add_typer(deadletters.app, name="deadletters")
    app.add_typer(schemas.app, name="schemas")
    return app


def _incident() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Declare, follow and close incidents.")
    group.add_typer(incident.app)
    group.add_typer(acts.app)
    return group


def _oncall() -> typer.Typer:
    group = typer.Typer(callback=oncall, invoke_without_command=True, help="Who is on call, and who stands in for whom.")
    group.add_typer(standins.app)
    return group


def main() -> None:
    """Run the command of the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end the command.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    build()(prog_name="tocsin")


if __name__ == "__main__":
    main()
