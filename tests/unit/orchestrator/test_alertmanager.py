"""Asking Alertmanagers, well and badly behaved ones, on local servers."""

import json
import threading
from base64 import b64encode
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.vocabulary import FiringState
from services.orchestrator.adapters import alertmanager
from services.orchestrator.adapters.alertmanager import Cluster, ask, statuses
from services.orchestrator.domain.alerts.reconcile import Reply
from tests.builders import NOW
from tests.support.alertmanager_standin import UP, Respond, Standin, an_item, answering, endless
from tests.support.processes import free_port

WANTED = {f"{number:02x}" for number in range(16)}


def a_cluster(*urls: str, timeout: float = 5.0, **login: Any) -> Cluster:
    return Cluster(urls, timedelta(seconds=timeout), **login)


async def asked(*peers: Standin, timeout: float = 5.0, **login: Any) -> Reply:
    with ExitStack() as stack:
        urls = [stack.enter_context(peer.serving()) for peer in peers]
        return await ask(a_cluster(*urls, timeout=timeout, **login), WANTED, NOW)


async def trouble(peer: Standin, timeout: float = 5.0, **login: Any) -> str:
    reply = await asked(peer, timeout=timeout, **login)
    assert not reply.answer.complete
    [words] = reply.troubles.values()
    assert words.isprintable()
    return words


async def test_a_complete_answer_has_what_was_asked_for_and_since_when_they_run() -> None:
    peer = Standin(an_item("01"), an_item("02", silencedBy=["s"]), an_item("not wanted"))
    peer.routes["/api/v2/silences"] = answering([{"id": "s", "createdBy": "ann", "comment": "db upgrade"}, {"id": "t"}])
    reply = await asked(peer)
    assert (reply.troubles, reply.answer.complete, reply.answer.at, reply.answer.up_since) == ({}, True, NOW, UP)
    assert set(reply.answer.alerts) == {"01", "02"}
    assert reply.answer.alerts["01"].ends_at == NOW + timedelta(minutes=4)
    assert reply.answer.alerts["02"].by == "silenced by ann: db upgrade (silence s)"
    assert peer.asked == [alertmanager.ALERTS, alertmanager.SILENCES, alertmanager.STATUS]


async def test_silences_are_asked_for_only_when_there_are_some() -> None:
    peer = Standin(an_item("01"))
    await asked(peer)
    assert alertmanager.SILENCES not in peer.asked


async def test_the_inhibiting_alert_is_named_wherever_it_stands_in_the_list() -> None:
    reply = await asked(Standin(an_item("01", inhibitedBy=["cd"]), an_item("cd", "NodeDown")))
    assert reply.answer.alerts["01"].by == "inhibited by NodeDown (fingerprint cd)"


@pytest.mark.parametrize("body", [b"oops", [{"id": ["s"]}, {"id": "s", "comment": 3}]])
async def test_without_the_silences_it_is_still_muted(body: object) -> None:
    peer = Standin(an_item("01", silencedBy=["s"]))
    peer.routes["/api/v2/silences"] = answering(body, 500 if body == b"oops" else 200)
    reply = await asked(peer)
    assert reply.answer.complete
    assert reply.answer.alerts["01"].by == "silenced (silence s)"


async def test_an_alert_is_there_if_any_peer_lists_it_and_fires_if_it_does_for_one() -> None:
    later = {"endsAt": (NOW + timedelta(minutes=9)).isoformat()}
    one = Standin(an_item("01", silencedBy=["s"]), an_item("02", silencedBy=["s"]))
    other = Standin(an_item("01") | later, an_item("03"), an_item("02", silencedBy=["s"]))
    other.routes["/api/v2/status"] = answering({"uptime": NOW.isoformat()})
    for reply in (await asked(one, other), await asked(other, one)):
        states = {name: found.state for name, found in reply.answer.alerts.items()}
        assert states == {"01": FiringState.FIRING, "02": FiringState.MUTED, "03": FiringState.FIRING}
        assert reply.answer.alerts["01"].ends_at == NOW + timedelta(minutes=9)
        assert reply.answer.up_since == NOW, "that of the one that started last"


async def test_one_peer_that_is_away_makes_the_answer_incomplete_and_spoils_nothing() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with Standin(an_item("01")).serving() as url:
        reply = await ask(a_cluster(url, away), WANTED, NOW)
    assert (reply.answer.complete, set(reply.answer.alerts), list(reply.troubles)) == (False, {"01"}, [away])
    assert reply.troubles[away].startswith("cannot be asked: ")


async def test_one_that_does_not_say_since_when_it_runs_is_not_believed() -> None:
    peer = Standin(an_item("01"))
    peer.routes["/api/v2/status"] = answering({"versionInfo": {"version": "0.25.0"}})
    assert await trouble(peer) == "its status is none of Alertmanager's: is the address right?"


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/api/v2/status"])
@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (answering(b"no", 500), "answers 500"),
        (answering(b"no", 401), "refuses us (401)"),
        (answering(b"no", 403), "refuses us (403)"),
        (answering(b"no", 404), "has no API version 2 there (404)"),
        (answering(b"", 302, Location="http://127.0.0.1:1/\x7f"), "redirects to http://127.0.0.1:1/"),
        (answering(b"\x1f\x8b", content_encoding="gzip"), "answers compressed"),
        (answering(b"<html><body>Login</body></html>", content_type="text/html"), "is the address right?"),
        (answering(b'"\xff'), "is the address right?"),
        (answering(b"[" * 100_000), "is the address right?"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"), "cannot be asked: "),
        (lambda handler: None, "cannot be asked: "),
    ],
)
async def test_what_goes_wrong_is_said_in_words(path: str, respond: Respond, words: str) -> None:
    peer = Standin(an_item("01"))
    peer.routes[path] = respond
    assert words in await trouble(peer)


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    elsewhere, peer = Standin(), Standin()
    with elsewhere.serving() as url:
        peer.routes["/api/v2/alerts"] = answering(b"", 307, Location=f"{url}/api/v2/alerts")
        await trouble(peer, token_file=tmp_path / "token")
    assert elsewhere.asked == []


async def test_a_slow_one_is_given_up_in_time() -> None:
    released = threading.Event()
    peer = Standin()
    peer.routes["/api/v2/alerts"] = lambda handler: (released.wait(10), None)[1]
    with peer.serving() as url:
        reply = await ask(a_cluster(url, timeout=0.2), WANTED, NOW)
        released.set()
    assert reply.troubles[url] == "did not answer within 0.2 s"


async def test_one_that_never_ends_is_given_up_in_time() -> None:
    peer = Standin()
    peer.routes["/api/v2/alerts"] = endless(json.dumps(an_item("01")).encode() + b",")
    assert await trouble(peer, timeout=0.3) == "did not answer within 0.3 s"


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/api/v2/status"])
async def test_a_huge_answer_is_given_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "LARGEST_LIST", alertmanager.MEGABYTE)
    monkeypatch.setattr(alertmanager, "LARGEST_STATUS", alertmanager.MEGABYTE)
    peer = Standin()
    peer.routes[path] = endless(b" " * 65_536)
    assert await trouble(peer) == "its answer is larger than 1 MB"


async def test_a_hundred_thousand_alerts_are_read() -> None:
    items = [an_item(f"{number:016x}", "Alert", silencedBy=[]) for number in range(100_000)]
    reply = await asked(Standin(an_item("01"), *items), timeout=60)
    assert (reply.answer.complete, set(reply.answer.alerts)) == (True, {"01"})


async def test_an_alert_that_cannot_be_read_spoils_the_meaning_of_absence_only() -> None:
    reply = await asked(Standin(an_item("01"), {"labels": {}}, {"fingerprint": 7}))
    assert (reply.answer.complete, set(reply.answer.alerts)) == (False, {"01"})
    assert list(reply.troubles.values()) == ["2 of its alerts cannot be read"]


@pytest.mark.parametrize(
    ("login", "shown"),
    [
        ({}, None),
        ({"token_file": "s3cret\nmore"}, "Bearer s3cret"),
        ({"username": "ann", "password_file": " s3cret \n"}, f"Basic {b64encode(b'ann:s3cret').decode()}"),
    ],
)
async def test_who_we_are_is_shown_from_files(login: dict[str, str], shown: str | None, tmp_path: Path) -> None:
    for key, text in login.items():
        if key.endswith("_file"):
            (tmp_path / key).write_text(text)
    peer = Standin()
    shows: dict[str, Any] = {key: tmp_path / key if key.endswith("_file") else text for key, text in login.items()}
    reply = await asked(peer, **shows)
    assert (reply.answer.complete, set(peer.logins)) == (True, {shown})


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read (FileNotFoundError)"), ("\n", "is empty"), ("gehéim", "no header can carry")],
)
async def test_a_secret_that_cannot_be_had_is_said_without_saying_it(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    peer = Standin()
    said = await trouble(peer, token_file=tmp_path / "token")
    assert words in said
    assert "geh" not in said
    assert peer.asked == []


async def test_a_secret_that_is_repeated_to_us_is_not_passed_on(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    peer = Standin()
    peer.routes["/api/v2/alerts"] = answering(b"", 302, Location="http://elsewhere/?token=s3cret")
    assert "(hidden)" in await trouble(peer, token_file=tmp_path / "token")


async def test_statuses_tell_releases_or_troubles() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with Standin().serving() as url:
        found = await statuses(a_cluster(f"{url}/", away))
    good, bad = found.values()
    assert not isinstance(good, str)
    assert (good.version, good.uptime) == ("0.25.0", UP)
    assert isinstance(bad, str)
