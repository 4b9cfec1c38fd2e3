"""A long list, taken apart while it arrives."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.adapters.jsonlist import LARGEST_ITEM, JsonList

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
items = st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=6)


def taken(pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    reader = JsonList()
    found = [item for piece in pieces for item in reader.feed(piece)]
    reader.end()
    return found


@given(items, st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_it_gives_what_the_whole_would_give_wherever_it_is_cut(
    given_items: list[dict[str, Any]], size: int, ascii_only: bool, indent: int | None
) -> None:
    whole = json.dumps(given_items, ensure_ascii=ascii_only, indent=indent).encode()
    assert taken(whole[at : at + size] for at in range(0, len(whole), size)) == given_items


def test_items_come_as_soon_as_they_are_there() -> None:
    reader = JsonList()
    assert [*reader.feed(b'[{"a": 1}, {"b"')] == [{"a": 1}]
    assert [*reader.feed(b": 2}")] == [{"b": 2}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "does not begin"),
        (b'{"items": []}', "does not begin"),
        (b"null", "does not begin"),
        (b"", "ends too early"),
        (b'[{"a": 1}', "ends too early"),
        (b'[{"a": ', "ends too early"),
        (b"[1, 2]", "no object"),
        (b"[{]" + b" " * LARGEST_ITEM, "or is broken"),
        (b'[{"a": "' + b"x" * LARGEST_ITEM, "or is broken"),
        (b'[{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'[{"a": ' + b"9" * 5_000 + b"}]", "limit"),
        (b'[{"a": "\xff"}]', "utf-8"),
    ],
)
def test_what_is_no_list_of_objects_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        taken([body])
