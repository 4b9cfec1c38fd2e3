"""Documents: what they say, where, and what is refused before anything is understood."""

import pytest
from pydantic import Field

from services.runtime.errors import Caution, ConfigError, Fault
from services.runtime.yamlfile import MOST_VALUES, Document, Section, check, parse, read


class Leaf(Section):
    """A mapping in a list."""

    name: str
    words: list[str] = Field(default_factory=list)


class Tree(Section):
    """A file."""

    leaves: list[Leaf] = Field(default_factory=list)
    titles: dict[str, str] = Field(default_factory=dict)
    kind: str = "tree"


def faults(raw: bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(raw, "f", Tree)
    return [str(fault) for fault in caught.value.faults]


class TestPlaces:
    """Keys stand where they are written, items and lone values where they begin."""

    TEXT = b"leaves:\n  - name: a\n    words: [x,\n      y]\n  - {name: b, words: z}\n"

    @pytest.mark.parametrize(
        ("steps", "place"),
        [
            ((), "f:1:1"),
            (("leaves",), "f:1:1"),
            (("leaves", 0), "f:2:5"),
            (("leaves", 0, "words", 1), "f:4:7"),
            (("leaves", 1, "words"), "f:5:15"),
            (("leaves", 1, "words", 0), "f:5:22"),
            (("leaves", 1, "other"), "f:5:5"),
            (("leaves", 2), "f:1:1"),
            (("kind",), "f:1:1"),
        ],
    )
    def test_what_is_not_there_stands_where_the_thing_around_it_stands(self, steps: tuple[str | int, ...], place: str) -> None:
        assert str(read(self.TEXT, "f").place(steps)) == place

    def test_nothing_at_all_stands_at_the_beginning(self) -> None:
        assert str(Document("f").place(("a", 0))) == "f:1:1"


class TestMerge:
    """Several documents as one."""

    def test_the_places_of_appended_items_move_with_them(self) -> None:
        document = read(b"leaves:\n- name: a\n", "one")
        document.merge(read(b"kind: bush\nleaves:\n- name: b\n- name: c\n  words: [x, y]\n", "two"))
        document.merge(read(b"\nleaves:\n- name: d\n", "three"))
        assert [leaf.name for leaf in check(document, Tree).leaves] == ["a", "b", "c", "d"]
        assert str(document.place(("leaves", 2, "words", 1))) == "two:5:14"
        assert str(document.place(("leaves", 3, "name"))) == "three:3:3"
        assert str(document.place(("kind",))) == "two:1:1"

    def test_a_list_that_an_alias_repeats_is_appended_to_once(self) -> None:
        document = read(b"leaves: []\ntitles: {a: &x b}\n", "one")
        document.merge(read(b"leaves: [{name: a, words: &w [x]}, {name: b, words: *w}]\n", "two"))
        document.merge(read(b"leaves: [{name: c}]\n", "three"))
        assert [leaf.words for leaf in check(document, Tree).leaves] == [["x"], ["x"], []]

    def test_faults_come_file_by_file_and_each_once(self) -> None:
        document = read(b"zebra: 1\nkind: 7\n", "one")
        document.merge(read(b"leaves: [7]\nzoo: 1\n", "two"))
        document.faults += [Fault("two", 1, 1, "x"), Fault("three", 1, 1, "x"), Fault("two", 1, 1, "x")]
        with pytest.raises(ConfigError) as caught:
            check(document, Tree)
        places = [f"{fault.file}:{fault.line}:{fault.column}" for fault in caught.value.faults]
        assert places == ["one:1:1", "one:2:1", "two:1:1", "two:1:10", "two:2:1", "three:1:1"]


class TestRefused:
    """Some files cannot be understood at all."""

    def test_what_contains_itself(self) -> None:
        assert faults(b"leaves: &x [*x]") == ["f:1:9: contains itself by an alias; expected an end"]
        assert faults(b"a: &x\n  b: *x") == ["f:1:4: contains itself by an alias; expected an end"]

    def test_a_few_lines_that_stand_for_billions(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
        (fault,) = faults("\n".join(lines).encode())
        assert fault.endswith(f"is too large; expected at most {MOST_VALUES:,} values, aliases counted each time")

    @pytest.mark.parametrize("opening", [b"[", b"{a: "])
    def test_what_is_nested_too_deeply(self, opening: bytes) -> None:
        assert faults(opening * 3_000) == ["f:0:0: is nested too deeply"]

    @pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!float ''", "!!timestamp soon", "9" * 5_000, "!!int x"])
    def test_a_value_that_its_tag_does_not_fit(self, value: str) -> None:
        (fault,) = faults(f"kind: {value}".encode())
        assert fault.startswith("f:0:0: is not YAML: ")

    def test_an_alias_may_be_used_often(self) -> None:
        given = parse(b"leaves: [{name: a, words: &w [x, y]}, {name: b, words: *w}]", "f", Tree)
        assert [leaf.words for leaf in given.leaves] == [["x", "y"]] * 2


def test_a_warning_says_that_it_is_one() -> None:
    assert str(Caution("f", 1, 2, "words")) == "f:1:2: warning: words"
    assert str(Fault("f", 1, 2, "words")) == "f:1:2: words"
