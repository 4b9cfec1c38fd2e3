"""Who is calling: tokens, headers, and what is let in."""

import base64
import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.auth import Grant, bearer_of, identify, new_token, token_hash

ANN = Grant(token_hash("tocsin_ann"), "ann", frozenset({"read", "respond"}))
ROOT = Grant(token_hash("tocsin_root"), "admin", frozenset({"admin"}))


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer tocsin_x", "tocsin_x"),
        ("bearer tocsin_x", "tocsin_x"),
        ("BEARER   tocsin_x  ", "tocsin_x"),
        (basic("anybody:tocsin_x"), "tocsin_x"),
        (basic(":tocsin_x"), "tocsin_x"),
        (basic("user:with:colons"), "with:colons"),
        (basic("user:pässword"), "pässword"),
        (basic("user:x").replace("Basic", "bAsIc"), "x"),
    ],
)
def test_a_token_is_found_in_the_header(header: str, token: str) -> None:
    assert bearer_of(header) == token


@pytest.mark.parametrize(
    "header",
    [
        None, "", " ", "Bearer", "Bearer ", "Basic", "Basic ", "Basic !", "Basic ////", "Basic é", "tocsin_x", "Digest x",
        basic("user"), basic("user:"), "Basic " + base64.b64encode(b"user:\xff").decode(), "Bearertocsin_x",
    ],
)  # fmt: skip
def test_a_header_without_a_token_is_none(header: str | None) -> None:
    assert bearer_of(header) is None
    assert identify(header, [ANN, ROOT]) is None


@given(st.text())
def test_no_header_makes_it_fail(header: str) -> None:
    for scheme in ("", "Bearer ", "Basic "):
        identify(scheme + header, [ANN])


def test_the_one_who_holds_the_token_is_known() -> None:
    assert identify("Bearer tocsin_ann", [ROOT, ANN]) is ANN
    assert identify(basic("x:tocsin_root"), [ROOT, ANN]) is ROOT


@pytest.mark.parametrize("token", ["tocsin_eve", "tocsin_ann ann", "Tocsin_ann", "tocsin_an", token_hash("tocsin_ann")])
def test_nobody_else_is(token: str) -> None:
    assert identify(f"Bearer {token}", [ROOT, ANN]) is None
    assert identify("Bearer tocsin_ann", []) is None


def test_scopes_allow_what_they_say_and_admin_everything() -> None:
    assert [scope for scope in ("alerts", "read", "respond", "admin") if ANN.allows(scope)] == ["read", "respond"]
    assert all(ROOT.allows(scope) for scope in ("alerts", "read", "respond", "admin"))


def test_a_new_token_carries_a_checksum_and_is_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        match = re.fullmatch(r"tocsin_([0-9A-Za-z]{30})([0-9a-f]{8})", token)
        assert match
        assert int(match[2], 16) == crc32(match[1].encode())


def test_a_grant_holds_no_token() -> None:
    assert "tocsin_ann" not in repr(ANN)
