"""Options that several commands share, and the secrets, which are read from the environment only."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

LOCAL = "http://127.0.0.1:8080"
DATA = Path("data")


class Form(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="A table for people or JSON for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="TOCSIN_URL", help="Where Tocsin listens.")]
NotifierUrl = Annotated[
    str | None, typer.Option("--notifier-url", envvar="TOCSIN_NOTIFIER_URL", help="Where the notifier listens, if not at --url.")
]
Storage = Annotated[
    Path, typer.Option("--storage.path", envvar="TOCSIN_STORAGE_PATH", help="The folder of an embedded Tocsin's state.")
]
ConfigPath = Annotated[
    Path | None, typer.Option("--config.file", envvar="TOCSIN_CONFIG_FILE", help="The policy; without one all defaults hold.")
]
Kafka = Annotated[
    str | None, typer.Option("--kafka", envvar="TOCSIN_KAFKA", help="host:port[,host:port…]; embedded without one.")
]
DatabaseUrl = Annotated[
    str | None, typer.Option("--database", envvar="TOCSIN_DATABASE", help="postgresql://…; embedded without one.")
]


def secret(name: str) -> str | None:
    """A secret of the environment; None when it is not set or empty. Flags would show it to everybody on the machine."""
    return os.environ.get(name) or None  # noqa: TID251  the one place that reads it
