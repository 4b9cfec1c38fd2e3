"""What is said of a text that cannot be read, or should be written in another way."""

import pytest

from services.matching import BadExpression, Matcher, MatcherError, Op, parse_matchers, parse_matchers_warned

REFUSED = [
    ("foo", 3, "the text ends where an operator (=, !=, =~ or !~) was expected"),
    ("foo bar=x", 4, "`bar` stands where an operator (=, !=, =~ or !~) was expected"),
    ('{"foo"}', 6, "`}` stands where an operator (=, !=, =~ or !~) was expected"),
    ("=x", 0, "`=` stands where a label name was expected"),
    (",", 0, "`,` stands where a label name was expected"),
    ("{,}", 1, "`,` stands where a label name was expected"),
    ("a=b,,c=d", 4, "`,` stands where a label name was expected"),
    ("a-b=,", 4, "`,` stands where a value was expected"),
    ("a-b=", 4, "the text ends where a value was expected"),
    ("a-b=c d=e", 6, "`d` stands where a comma or the end was expected"),
    ("a-b=c}", 5, "`}` stands where a comma or the end was expected"),
    ("{a-b=c d=e}", 7, "`d` stands where a comma or a closing brace was expected"),
    ("{a-b=c", 6, "the text ends where a comma or a closing brace was expected"),
    ("{a-b=c}}", 7, "`}` stands where the end was expected"),
    (" {", 2, "the text ends where a closing brace was expected"),
    ("{{a=b}}", 1, "`{` stands where a label name was expected"),
    ("foo!bar", 3, "`!` is half an operator, expected `!=` or `!~`"),
    ("foo~bar", 3, "`~` stands outside of quotes, expected double quotes around what holds it"),
    ("é='x'", 2, "`'` stands outside of quotes, expected double quotes around what holds it"),
    ('é= "never ends', 3, "the quoted text that begins here never ends, expected a closing double quote"),
    ('é="\\', 2, "the quoted text that begins here never ends, expected a closing double quote"),
    (r'é="a\d"', 4, r"`\d` is not an escape, expected `\\` for a backslash"),
    (r'é="\400"', 3, r"`\4` is not an escape, expected `\\` for a backslash"),
    ('é="a\nb"', 4, r"a line ends inside the quotes, expected `\n` there"),
    (r'é="a\ud800"', 4, r"`\ud800` is not the number of a character, which was expected"),
    (r'é="a\U00110000"', 4, r"`\U00110000` is not the number of a character, which was expected"),
    (r'é="a\xff"', 2, r'the escapes in `"a\xff"` make bytes that are not the UTF-8 that was expected'),
    ("a=\ud800", 2, "half a surrogate pair stands where a character was expected"),
    ('a-b= "c", d-e =~ "[a"', 17, "expected an RE2 expression, but of `[a` RE2 says: missing ]: [a"),
    ('a=~"[a"', 3, "expected an RE2 expression, but of `[a` RE2 says: missing ]: [a"),
]


@pytest.mark.parametrize(("text", "offset", "sentence"), REFUSED, ids=[ascii(text)[1:-1] for text, _, _ in REFUSED])
def test_refusal_says_where_and_what_was_expected(text: str, offset: int, sentence: str) -> None:
    with pytest.raises(MatcherError) as refused:
        parse_matchers(text)

    assert (str(refused.value), refused.value.offset) == (sentence, offset)


@pytest.mark.parametrize(
    ("text", "expression", "said"),
    [
        ('a=~"(?=x)"', "(?=x)", "invalid perl operator: (?="),
        ('a=~"(?!x)"', "(?!x)", "invalid perl operator: (?!"),
        ('a=~"(?<=x)"', "(?<=x)", "invalid perl operator: (?<="),
        ('a=~"(?<!x)"', "(?<!x)", "invalid perl operator: (?<!"),
        (r'a=~"(x)\\1"', r"(x)\1", r"invalid escape sequence: \1"),
    ],
)
def test_look_arounds_and_back_references_are_said_not_to_exist(text: str, expression: str, said: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse_matchers(text)

    assert str(refused.value) == (
        f"expected an RE2 expression, but of `{expression}` RE2 says: {said}; RE2 has no look-arounds and no back-references"
    )
    assert refused.value.offset == 3


def test_fault_of_an_expression_is_told_even_where_its_escapes_are_classic() -> None:
    with pytest.raises(BadExpression, match="no look-arounds") as refused:
        parse_matchers(r'b="x", a =~ "\d+(?!x)"')

    assert refused.value.offset == 12


def test_long_texts_are_cut_and_control_characters_made_visible() -> None:
    with pytest.raises(BadExpression) as refused:
        parse_matchers('a=~"\x1b[' + "x" * 10_000 + '"')

    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            r'foo=~"\d+"',
            r"only Alertmanager's classic parser reads this, because `\d` is not an escape, expected `\\` for a backslash"
            r' (column 7); write {foo=~"\\d+"}',
        ),
        (
            "foo=",
            "only Alertmanager's classic parser reads this, because the text ends where a value was expected (column 5);"
            ' write {foo=""}',
        ),
        (
            r'foo="\x41"',
            r"""Alertmanager's two parsers read this differently, as {foo="\\x41"} and as {foo="A"};"""
            " the first counts, write the one that is meant",
        ),
    ],
)
def test_warning_says_what_to_write_instead(text: str, warning: str) -> None:
    assert parse_matchers_warned(text)[1] == warning


@pytest.mark.parametrize("text", ["", "  ", "{}", " { } ", "a=b", '{"a b"="c", é=~x,}', 'a="\\\\d"'])
def test_text_that_all_parsers_read_alike_is_not_warned_of(text: str) -> None:
    assert parse_matchers_warned(text)[1] is None


def test_matchers_keep_the_order_in_which_they_are_written() -> None:
    assert parse_matchers('{z="1", a!="2", m=~"3|4", a!~""}') == (
        Matcher("z", Op.EQUAL, "1"),
        Matcher("a", Op.NOT_EQUAL, "2"),
        Matcher("m", Op.MATCH, "3|4"),
        Matcher("a", Op.NOT_MATCH, ""),
    )
