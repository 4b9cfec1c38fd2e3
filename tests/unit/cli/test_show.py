"""Nothing that others wrote can steer the terminal, and programs can read what is printed."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.options import Form
from services.cli.show import Column, answer, as_json, one_line, plain, table

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://evil\x1b\\link\x9b2J\u202edrawkcab\ud800\x00 [bold]x[/bold]"


def test_escape_sequences_and_invisible_characters_do_not_reach_the_terminal() -> None:
    assert plain(HOSTILE) == "red link�2J�drawkcab�� [bold]x[/bold]"


@given(st.text(st.characters(codec=None)) | st.text("\x1b[]0;m\x07\x9b\n", max_size=40))
def test_plain_text_has_no_control_characters_but_line_ends(text: str) -> None:
    seen = plain(text)
    assert not [sign for sign in seen if unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\t"]
    seen.encode()


@given(st.dictionaries(st.text(st.characters(codec=None)), st.text(st.characters(codec=None))))
def test_json_is_the_same_value_and_shows_nothing_invisible(value: dict[str, str]) -> None:
    printed = as_json(value)
    assert json.loads(printed) == json.loads(json.dumps(value))
    assert printed == "\n".join(plain(line) for line in printed.split("\n"))


def test_one_line_is_one_line() -> None:
    assert one_line("a\n b\r\nc\td") == "a b c d"


def test_a_table_for_programs_is_aligned_and_has_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    table([Column("A"), Column("WIDE", wide=True)], [["1", "x\ny"], [None, "[red]z[/red]"]], "none")
    assert capsys.readouterr().out == "A  WIDE\n1  x y\n   [red]z[/red]\n"


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    answer(Form.TABLE, [], lambda: table([Column("A")], [], "There is nothing."))
    assert capsys.readouterr().out == "There is nothing.\n"
