"""Pages: what others wrote is text, and moments are told so that people understand them."""

from datetime import timedelta

import pytest

from services.runtime.pages import ago, headers, stamp, times, web_link
from tests.builders import NOW


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-9, "now"), (4, "now"), (5, "5 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7_199, "1 h ago"), (172_800, "2 d ago")],
)
def test_how_long_ago_it_was(seconds: float, told: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == told


def test_moments_in_a_text_are_marked_and_all_else_is_escaped() -> None:
    text = f"<b>since {stamp(NOW)}</b>"
    assert times(text) == '&lt;b&gt;since <time datetime="2026-11-23T03:12Z">2026-11-23 03:12 UTC</time>&lt;/b&gt;'


@pytest.mark.parametrize(
    ("url", "may_be_clicked"),
    [
        ("https://example.org/x", True),
        (" http://example.org ", True),
        ("javascript:alert(1)", False),
        ("https://user@example.org", False),
        ("http://[", False),
        ("//example.org", False),
    ],
)
def test_which_links_may_be_clicked(url: str, may_be_clicked: bool) -> None:
    assert web_link(url) is may_be_clicked


def test_nothing_is_loaded_but_the_style_with_the_nonce() -> None:
    policy = headers("abc")["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-abc';")
