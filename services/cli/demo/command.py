"""The command."""

# ruff: noqa: PLC0415  imported when it is used

from typing import Annotated

import typer

from services.cli.show import fail


def demo(
    slow: Annotated[bool, typer.Option("--slow", help="Pause after each step, to read along.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep running at the end, to look at it in the browser.")] = False,
) -> None:
    """Play a short outage and tell what Tocsin does and why. Needs nothing, leaves nothing behind."""
    import asyncio

    import uvloop

    from services.cli.demo.narrator import Narrator
    from services.runtime.logs import set_up

    set_up("error", "auto")
    narrator = Narrator(pause=4.0 if slow else 0.0)
    narrator.curtain()
    with narrator.waiting("Tocsin starts …"):
        from services.cli.demo.story import perform
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            missed = runner.run(perform(narrator, keep=keep))
    except OSError as error:
        fail(f"the demonstration cannot run here: {error}")
    except KeyboardInterrupt:
        typer.echo("\nStopped; nothing is left behind.")
        raise typer.Exit(130) from None
    if missed:
        fail(missed, "This should not happen; please report it with the lines above.")
    narrator.farewell()
