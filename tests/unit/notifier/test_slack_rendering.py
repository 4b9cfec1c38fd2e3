"""Nothing that arrives in an alert mentions a crowd, makes a link or breaks a message in Slack."""

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.vocabulary import Severity
from services.notifier.channels.slack.blocks import Block, fallback, reply, summary
from services.notifier.channels.slack.escape import cut, link, mrkdwn, plain
from services.notifier.domain.content import Content, Fact, Link
from tests.support.slack_rules import check_message

NASTY = [
    *(
        "<!channel>",
        "<!here|x>",
        "<!everyone>",
        "<!subteam^S1>",
        "<@U123>",
        "<#C1|general>",
        "<http://evil.example|Runbook>",
    ),
    *(
        "@channel",
        "@HERE",
        "@everyone",
        "&lt;!channel&gt;",
        "&amp;",
        "a|b",
        "\r\n\u2028",
        "\x00\x1b[31m",
        "\u202e",
        "\ud800",
        "🔥",
        '"\\',
    ),
    *(
        "https://x.example/?a=1&b=2",
        "javascript:alert(1)",
        "http://user:pw@evil.example",
        "https://a.example/|>x",
        ":red_circle:",
    ),
]
texts = st.lists(st.one_of(st.text(max_size=60), st.sampled_from(NASTY)), max_size=8).map("".join)
repeats = st.builds(lambda piece, times: piece * times, st.sampled_from(NASTY), st.integers(0, 60))
some_texts = st.one_of(texts, repeats)
long_texts = st.one_of(texts, repeats.map(lambda text: text * 9))
contents = st.builds(
    Content,
    incident=texts,
    headline=long_texts,
    severity=st.none() | st.sampled_from(Severity),
    mood=st.sampled_from(["open", "calm", "over"]),
    text=long_texts,
    facts=st.lists(st.builds(Fact, name=some_texts, value=some_texts), max_size=12).map(tuple),
    links=st.lists(st.builds(Link, label=some_texts, url=some_texts), max_size=12).map(tuple),
    at=st.just(datetime(2026, 11, 23, 3, 12, tzinfo=UTC)),
)
OURS = re.compile(r"<https?://[^<>|\s@\x00-\x1f]+\|[^<>|\n]+>|<!date\^\d+\^[^<>|]+\|[^<>|]+>", re.IGNORECASE)
CROWD = re.compile(r"@(channel|here|everyone)", re.IGNORECASE)
ACTIVE = re.compile(r"<[!@#]|<https?:|@(channel|here|everyone)", re.IGNORECASE)
HALF_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")


def _texts(blocks: list[Block]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        yield from ([block["text"]] if "text" in block else []) + block.get("fields", []) + block.get("elements", [])


def _assert_inert(text: str) -> None:
    """No control sequence but our own links and date, no crowd, no half an entity."""
    rest = OURS.sub("", text)
    assert not re.search("[<>]", rest)
    assert not CROWD.search(text)
    assert not HALF_ENTITY.search(text)


@settings(deadline=None)
@given(contents)
def test_every_message_is_accepted_and_mentions_nobody(content: Content) -> None:
    for blocks in (summary(content), reply(content)):
        check_message({"text": fallback(content), "blocks": blocks})
        assert len(json.dumps(blocks, ensure_ascii=False)) <= 12_000
        for text in _texts(blocks):
            if text["type"] == "mrkdwn":
                assert text["verbatim"]
                _assert_inert(text["text"])
            else:
                assert not text["emoji"]
                assert not ACTIVE.search(text["text"])
    _assert_inert(fallback(content))
    assert 0 < len(fallback(content)) <= 4000


@given(texts)
def test_escaped_text_reads_as_before(text: str) -> None:
    assert plain(text) == html.unescape(mrkdwn(text).replace("&amp;", "&amp;amp;")).replace("&amp;", "&")


@given(long_texts, st.integers(1, 300))
def test_a_cut_keeps_within_the_limit_and_halves_nothing(text: str, limit: int) -> None:
    escaped = mrkdwn(text)
    short = cut(escaped, limit)
    assert len(short.encode("utf-16-le")) <= 2 * limit
    assert not HALF_ENTITY.search(short)
    assert escaped == short or (short.endswith("…") and escaped.startswith(short[:-1]))


@given(long_texts, long_texts)
def test_a_link_is_one_link_or_text(label: str, url: str) -> None:
    _assert_inert(link(label, url))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x?q=1&r=2", "<https://a.example/x?q=1&amp;r=2|Go>"),
        ("HTTP://a.example", "<HTTP://a.example|Go>"),
        ("https://a.example/a b|c>d", "<https://a.example/a%20b%7Cc%3Ed|Go>"),
        ("https://a.example/50%25#top", "<https://a.example/50%25#top|Go>"),
        ("https://a.example/\nx", "<https://a.example/%0Ax|Go>"),
        ("javascript:alert(1)", "Go: javascript:alert(1)"),
        ("https://bank.example@evil.example", "Go: https://bank.example@evil.example"),
        ("https://", "Go: https://"),
    ],
)
def test_only_web_addresses_become_links(url: str, shown: str) -> None:
    assert shown == link("Go", url)


def test_a_summary_says_first_how_bad_it_is() -> None:
    content = Content(
        incident="INC-42",
        headline="Checkout\nis <!channel> down",
        severity=Severity.S1,
        text="a < b",
        facts=(Fact(name="Services", value="web & api"),),
        links=(Link(label="Runbook", url="https://r.example"), Link(label="Graph", url="https://g.example")),
        at=datetime(2026, 11, 23, 3, 12, tzinfo=UTC),
    )
    header, words, facts, links, foot = summary(content)
    title = "🔴 S1 · INC-42 · Checkout is <\u200b!channel> down"
    assert {"type": "plain_text", "text": title, "emoji": False} == header["text"]
    assert words["text"] == {"type": "plain_text", "text": "a < b", "emoji": False}
    assert [field["text"] for field in facts["fields"]] == ["*Services*\nweb &amp; api"]
    assert links["text"]["text"] == "<https://r.example|Runbook> · <https://g.example|Graph>"
    date = "<!date^1795403520^{date_short_pretty} {time_secs}|2026-11-23 03:12 UTC>"
    assert f"As of {date}" == foot["elements"][0]["text"]


@pytest.mark.parametrize(("mood", "sign"), [("open", "🟡"), ("calm", "🟢"), ("over", "✅")])
def test_the_sign_tells_the_mood(mood: str, sign: str) -> None:
    values = {"incident": "INC-1", "headline": "x", "severity": "S3", "mood": mood, "at": "2026-11-23T03:12:00Z"}
    assert fallback(Content.model_validate(values)) == f"{sign} S3 · INC-1 · x"
