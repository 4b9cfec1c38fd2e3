"""Matchers: what is written is read back, what is asked is answered rightly, and nothing else is ever raised."""

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from services.matching import Matcher, MatcherError, Op, Selector, parse_matchers_warned, selector

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=12)
WORDS = ["!=", "=~", "!~", "\\n", "\\x41", "\\ud800", "\\777", "foo", "a:b", '"x y"', "(?=", "5.."]
PIECE = st.sampled_from([*"{},=!~\"\\'` \n\x85\x1c\u2003é9[\ud800", *WORDS])
ANY_MATCHERS = ANY_TEXT | st.lists(PIECE, max_size=12).map("".join)

SYMBOL = st.sampled_from(
    ["a", "b", "A", "é", "1", "_", r"\.", ".", "[ab]", "[^a]", "[a-z1-3]", r"\d", r"\w", r"\W", "^", "$", ""]
)
VALUE = st.text("abAé1_.\n-", max_size=7)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeated = st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "*?"])).map(
        lambda both: f"(?:{both[0]}){both[1]}"
    )
    chosen = st.lists(inner, min_size=1, max_size=3).map(lambda each: f"({'|'.join(each)})")
    return repeated | chosen | st.lists(inner, min_size=1, max_size=3).map("".join)


EXPRESSION = st.recursive(SYMBOL, _wider, max_leaves=8)
"""What RE2 and Python's `re` both understand, and alike."""

NAME = st.sampled_from(["a", "b", "x y"])
LABELS = st.dictionaries(NAME, VALUE, max_size=3)
LITERAL = st.builds(Matcher, NAME, st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), VALUE)
REGULAR = st.builds(Matcher, NAME, st.sampled_from([Op.MATCH, Op.NOT_MATCH]), EXPRESSION)
SELECTOR = st.lists(LITERAL | REGULAR, max_size=4).map(lambda each: Selector(tuple(each)))

WRITABLE = st.builds(Matcher, st.text(max_size=6), st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), st.text(max_size=8)) | REGULAR


def naive(matcher: Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name) or ""
    if matcher.op is Op.EQUAL:
        return value == matcher.value
    if matcher.op is Op.NOT_EQUAL:
        return value != matcher.value
    # `$` of Python also stands before a last line break
    found = re.fullmatch(matcher.value.replace("$", r"\Z"), value, re.ASCII)
    return bool(found) is (matcher.op is Op.MATCH)


@given(matchers=st.lists(WRITABLE, max_size=4))
def test_what_is_written_is_read_back_without_a_warning(matchers: list[Matcher]) -> None:
    assert parse_matchers_warned(str(Selector(tuple(matchers)))) == (tuple(matchers), None)
    for matcher in matchers:
        assert parse_matchers_warned(str(matcher)) == ((matcher,), None)


@given(text=ANY_MATCHERS)
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        matchers, _ = parse_matchers_warned(text)
    except MatcherError as error:
        assert 0 <= error.offset <= len(text)
        assert str(error)
        assert str(error).isprintable()
    else:
        assert selector([str(Selector(matchers))]).matchers == matchers


@given(asked=SELECTOR, labels=LABELS)
def test_answers_are_those_of_a_naive_reading(asked: Selector, labels: dict[str, str]) -> None:
    assert asked.matches(labels) is all(naive(matcher, labels) for matcher in asked.matchers)


@given(asked=SELECTOR, labels=LABELS)
def test_whatever_is_selected_has_the_literals(asked: Selector, labels: dict[str, str]) -> None:
    if asked.matches(labels):
        assert asked.literals.items() <= labels.items()


@given(expression=ANY_TEXT, labels=st.dictionaries(NAME, ANY_TEXT, max_size=3))
def test_no_label_and_no_expression_breaks_anything(expression: str, labels: dict[str, str]) -> None:
    with contextlib.suppress(MatcherError):
        matcher = Matcher("a", Op.MATCH, expression)
        opposite = Matcher("a", Op.NOT_MATCH, expression)
        assert matcher.matches(labels) is not opposite.matches(labels)
