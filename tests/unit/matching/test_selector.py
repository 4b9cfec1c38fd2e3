"""Several matchers that must all hold."""

import pytest

from services.matching import BadExpression, Matcher, MatcherError, Op, Selector, parse_matchers, selector

LABELS = {"service": "web", "env": "gprd", "severity": "critical"}


@pytest.mark.parametrize(
    ("texts", "matches"),
    [
        ([], True),
        (["{}"], True),
        (["service=web"], True),
        (["service=web", "env=gprd"], True),
        (["service=web,env=gstg"], False),
        (["service=web", "env=gstg"], False),
        (["service=~w.*", "severity!~S3|S4", "team="], True),
        (["service=web", "service=db"], False),
        (['severity=~"crit.*"', 'service!="web"'], False),
    ],
)
def test_all_matchers_of_all_texts_must_hold(texts: list[str], matches: bool) -> None:
    assert selector(texts).matches(LABELS) is matches


def test_selector_of_nothing_matches_everything() -> None:
    assert Selector().matches({})
    assert str(Selector()) == "{}"


def test_literals_are_the_equalities_that_need_a_label() -> None:
    chosen = selector(['{service="web", team="", env!="x", severity=~"a|b", "a b"="c"}'])

    assert chosen.literals == {"service": "web", "a b": "c"}


def test_literals_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        selector(["a=b"]).literals["a"] = "c"  # type: ignore[index]


def test_selector_is_written_as_it_was_read() -> None:
    text = '{b="1",a=~"2.*","x y"!="\\"",é!~"4"}'

    assert str(selector([text])) == text
    assert selector(['b="1",a=~2.*', '"x y"!="\\"",é!~4']).matchers == parse_matchers(text)


def test_equal_selectors_are_one_key_whether_they_were_asked_or_not() -> None:
    asked, fresh = selector(["a=b", "c=~d"]), selector(['{a="b",c=~"d"}'])
    asked.matches({})

    assert asked.literals == fresh.literals
    assert len({asked, fresh}) == 1


@pytest.mark.parametrize(
    ("texts", "index", "offset"),
    [(["a=b", "foo"], 1, 3), (["=", "foo"], 0, 0), (["a=b", "", "{x=~[}"], 2, 4), (["a=b\ud800"], 0, 3)],
)
def test_error_says_in_which_text_and_where(texts: list[str], index: int, offset: int) -> None:
    with pytest.raises(MatcherError) as refused:
        selector(texts)

    assert (refused.value.index, refused.value.offset) == (index, offset)


def test_error_keeps_its_kind() -> None:
    with pytest.raises(BadExpression):
        selector(["a=b", "c=~("])


def test_expression_before_an_equality_changes_nothing() -> None:
    matchers = (Matcher("service", Op.MATCH, "w.*"), Matcher("env", Op.EQUAL, "gstg"))

    assert not Selector(matchers).matches(LABELS)
    assert Selector(matchers).matchers == matchers
