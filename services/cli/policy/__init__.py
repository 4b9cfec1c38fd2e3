"""`tocsin policy …`: a policy is tried before it decides."""

import typer

from services.cli.policy.replay import replay
from services.cli.policy.shadow import shadow
from services.cli.policy.test import test

app = typer.Typer(no_args_is_help=True)
app.command()(test)
app.command()(replay)
app.command()(shadow)


@app.callback()
def policy() -> None:
    """Try a policy before it decides."""
