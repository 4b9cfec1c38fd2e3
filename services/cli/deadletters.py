"""`tocsin deadletters`: what could not be read, looked at and sent again."""

# ruff: noqa: PLC0415  imported when it is used

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import DATA, Form, Kafka, Output, Storage
from services.cli.show import Column, always, answer, facts, fail, one_line, table

if TYPE_CHECKING:
    from services.cli.letters import Letter, Shelf

app = typer.Typer(no_args_is_help=True, help="Look at messages that could not be read, and send them again.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The id that `list` shows, or its beginning.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Only the newest.")] = 50,
    storage: Storage = DATA,
    kafka: Kafka = None,
    output: Output = Form.TABLE,
) -> None:
    """Dead letters, oldest first."""
    letters = _shelf(storage, kafka).letters()[-limit:]
    answer(output, [letter.as_json() for letter in letters], lambda: _table(letters))


def _table(letters: "list[Letter]") -> None:
    columns = (
        *(Column("ID", always("bold")), Column("REFUSED (UTC)", always("dim")), Column("FROM")),
        *(Column("BY"), Column("REASON"), Column("DETAIL", wide=True)),
    )
    rows = [
        [letter.id[:12], _time(letter), letter.place, letter.body.refused_by, letter.body.reason, letter.body.detail]
        for letter in letters
    ]
    table(columns, rows, "There are no dead letters.")


def _time(letter: "Letter") -> str:
    return f"{letter.body.at:%Y-%m-%d %H:%M:%S}"


@app.command()
def show(id: Id, storage: Storage = DATA, kafka: Kafka = None, output: Output = Form.TABLE) -> None:
    """One dead letter with its bytes."""
    letter = _shelf(storage, kafka).find(id)
    body = letter.body

    def told() -> None:
        facts([
            ("id", letter.id),
            ("refused", f"{_time(letter)} UTC by {body.refused_by}: {body.reason}"),
            ("from", letter.place),
            ("key", one_line(body.key)),
            ("detail", body.detail),
            ("bytes", letter.raw.decode("utf-8", "replace")),
        ])  # fmt: skip

    answer(output, letter.as_json(), told)


@app.command()
def replay(
    id: Id,
    force: Annotated[bool, typer.Option("--force", help="Even if this release cannot read it either.")] = False,
    storage: Storage = DATA,
    kafka: Kafka = None,
    output: Output = Form.TABLE,
) -> None:
    """Send the original bytes again, to their topic, under their key; the message keeps its id."""
    shelf = _shelf(storage, kafka)
    letter = shelf.find(id)
    _refuse_hopeless(letter, force)
    shelf.replay(letter)
    said = f"{letter.id[:12]} was sent to {one_line(letter.body.origin)} again."
    answer(output, letter.as_json() | {"replayed": True}, lambda: print(said))


def _refuse_hopeless(letter: "Letter", force: bool) -> None:
    from schemas.catalogue import Refused, decode
    from schemas.topics import TOPICS

    origin = letter.body.origin
    if origin not in {topic.name for topic in TOPICS}:
        fail(
            f"this letter is one alert of a webhook (/{origin}) that was refused, not a message of a topic",
            "Correct what `tocsin deadletters show` says is wrong with it; its sender will send it again while it fires.",
        )
    try:
        decode(letter.raw)
    except Refused as refused:
        if not force:
            fail(f"this release cannot read it either: {refused.detail}", "Update Tocsin, or give --force.")


def _shelf(storage: "Storage", kafka: str | None) -> "Shelf":
    from services.cli.letters import Shelf

    return Shelf(storage, kafka or None)
