"""`tocsin schemas`: the messages and the configuration as JSON Schema."""

# ruff: noqa: PLC0415  imported when it is used

from pathlib import Path
from typing import Annotated

import typer

from services.cli.show import fail

app = typer.Typer(no_args_is_help=True, help="The messages and the configuration, as JSON Schema.")


@app.callback()
def group() -> None:
    """The messages and the configuration, as JSON Schema."""


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made when it is missing.")],
    allow_breaking: Annotated[bool, typer.Option("--allow-breaking", help="Also write what would break a reader.")] = False,
) -> None:
    """Write one file per type of message; refuses what would break a reader of the files that are there."""
    from schemas.export import Breaking
    from schemas.export import export as write

    try:
        changed = write(folder, allow_breaking=allow_breaking)
    except Breaking as error:
        fail("this would break a reader; make it a new version of the type (….v2)", *error.breaks)
    except OSError as error:
        fail(f"{folder}: {error.strerror}")
    print(f"{len(changed)} of the files changed: {', '.join(changed)}" if changed else "Nothing changed.")


@app.command()
def editor(
    file: Annotated[Path | None, typer.Argument(help="Where to write; standard output without it.")] = None,
) -> None:
    """Write the schema of tocsin.yaml, so that an editor completes it and marks mistakes.

    Editors find it by a first line like `# yaml-language-server: $schema=tocsin.schema.json`.
    """
    from services.config.editor import editor_schema

    if file is None:
        print(editor_schema(), end="")
        return
    try:
        file.write_text(editor_schema(), "utf-8")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    print(f"Wrote {file}.")
