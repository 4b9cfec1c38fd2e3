"""`tocsin token`: make tokens. Tocsin itself knows only their hashes."""

# ruff: noqa: PLC0415  imported when it is used

import json
import re
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.options import Form, Output
from services.cli.show import answer

app = typer.Typer(no_args_is_help=True, help="Make tokens.")

_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


class Scope(StrEnum):
    """What a token may do."""

    ALERTS = "alerts"
    READ = "read"
    RESPOND = "respond"
    ADMIN = "admin"


@app.callback()
def group() -> None:
    """Make tokens."""


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whom or what it is for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be given again.")],
    person: Annotated[str | None, typer.Option(help="The person who acts with it: an id of the file's people.")] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make a token. It is shown this once; its hash goes into the configuration."""
    from services.runtime.auth import new_token, token_hash

    token = new_token()
    line = _line(name, token_hash(token), list(dict.fromkeys(scope)), person)

    def told() -> None:
        print(token)
        print("\n# The token is shown this once. Put this line under access.tokens of tocsin.yaml and reload:")
        print(line)

    answer(output, {"token": token, "line": line}, told)


def _line(name: str, sha256: str, scopes: list[Scope], person: str | None) -> str:
    by = f", person: {_scalar(person)}" if person else ""
    return f'- {{name: {_scalar(name)}, sha256: "{sha256}", scopes: [{", ".join(scopes)}]{by}}}'


def _scalar(text: str) -> str:
    """As YAML; JSON's strings are YAML's."""
    return text if _BARE.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
