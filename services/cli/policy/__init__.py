"""`tocsin policy …`: a policy is tried before it decides."""

import typer

from services.cli.policy.shadow import shadow

app = typer.Typer(no_args_is_help=True)
app.command()(shadow)


@app.callback()
def policy() -> None:
    """Try a policy before it decides."""
