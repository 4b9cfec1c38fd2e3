"""One matcher: asked and written."""

import pytest

from services.matching import BadExpression, Matcher, MatcherError, Op


@pytest.mark.parametrize(
    ("op", "value", "labels", "matches"),
    [
        (Op.EQUAL, "web", {"x": "web"}, True),
        (Op.EQUAL, "web", {"x": "Web"}, False),
        (Op.EQUAL, "web", {}, False),
        (Op.EQUAL, "", {}, True),
        (Op.EQUAL, "", {"x": ""}, True),
        (Op.NOT_EQUAL, "web", {}, True),
        (Op.NOT_EQUAL, "", {}, False),
        (Op.NOT_EQUAL, "web", {"x": "web"}, False),
        (Op.MATCH, "w.b", {"x": "web"}, True),
        (Op.MATCH, "w.b", {"x": "webs"}, False),
        (Op.MATCH, "w.b", {"x": "aweb"}, False),
        (Op.MATCH, "a|b", {"x": "ab"}, False),
        (Op.MATCH, ".*", {}, True),
        (Op.MATCH, ".+", {}, False),
        (Op.MATCH, "a.*", {"x": "a\nb"}, False),
        (Op.NOT_MATCH, "w.b", {"x": "web"}, False),
        (Op.NOT_MATCH, "w.b", {"x": "webs"}, True),
        (Op.NOT_MATCH, ".+", {}, True),
    ],
)
def test_expressions_are_about_the_whole_value_and_a_missing_label_is_empty(
    op: Op, value: str, labels: dict[str, str], matches: bool
) -> None:
    assert Matcher("x", op, value).matches(labels) is matches


@pytest.mark.parametrize(
    ("matcher", "text"),
    [
        (Matcher("service", Op.EQUAL, "web"), 'service="web"'),
        (Matcher("service", Op.NOT_MATCH, r"\d+"), r'service!~"\\d+"'),
        (Matcher("a.b-c/d", Op.EQUAL, ""), 'a.b-c/d=""'),
        (Matcher("日本", Op.MATCH, "東.*"), '日本=~"東.*"'),
        (Matcher("a b", Op.EQUAL, 'say "x"'), r'"a b"="say \"x\""'),
        (Matcher("", Op.NOT_EQUAL, "a\nb"), r'""!="a\nb"'),
        (Matcher('"', Op.EQUAL, "\\"), r'"\""="\\"'),
        (Matcher("a\u2003b", Op.EQUAL, "\t"), '"a\u2003b"="\t"'),
        (Matcher("a\x1cb", Op.EQUAL, ""), 'a\x1cb=""'),
    ],
)
def test_value_is_always_quoted_and_name_where_it_must_be(matcher: Matcher, text: str) -> None:
    assert str(matcher) == text


def test_equal_matchers_are_one_key() -> None:
    assert len({Matcher("a", Op.MATCH, "b.*"), Matcher("a", Op.MATCH, "b.*"), Matcher("a", Op.EQUAL, "b.*")}) == 2


@pytest.mark.parametrize("op", [Op.MATCH, Op.NOT_MATCH])
def test_matcher_with_a_bad_expression_cannot_be_made(op: Op) -> None:
    with pytest.raises(BadExpression, match=r"missing \]"):
        Matcher("a", op, "[")


@pytest.mark.parametrize(("name", "value"), [("a\ud800", "b"), ("a", "\udfffb")])
def test_matcher_that_could_not_be_written_cannot_be_made(name: str, value: str) -> None:
    with pytest.raises(MatcherError, match="half a surrogate pair"):
        Matcher(name, Op.EQUAL, value)
