"""The commands that ask a running Tocsin, against a real one."""

import time
from typing import Any

import pytest

from services.cli.client import is_local, token_for
from tests.unit.cli.conftest import Running


def declared(running: Running, title: str = "Checkout is down") -> str:
    answer: dict[str, Any] = running.done("incident", "declare", title, "-s", "s2", "--service", "checkout", "-r", "seen")
    return str(answer["id"])


def decided(running: Running, fingerprint: str) -> dict[str, Any]:
    """What was decided about an alert, within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        outcome = running("explain", fingerprint, "-o", "json")
        if outcome.status == 0:
            decision: dict[str, Any] = outcome.json["firings"][0]["decision"]
            return decision
        assert "Nothing has been decided" in outcome.err
        time.sleep(0.05)
    raise AssertionError("nothing was decided")


def test_an_incident_from_its_declaration_to_its_end(running: Running) -> None:
    name = declared(running)
    assert running.done("incident", "severity", name, "s1", "-r", "worse than it looked")["severity"] == "S1"
    assert running.done("incident", "show", name)["severity_pinned"] is True
    assert running.done("incident", "unpin", name)["severity_pinned"] is False
    assert running.done("incident", "public-state", name, "identified", "-r", "found")["public_state"] == "identified"
    assert running.done("incident", "update", name, "We roll back.", "--next-in", "30m")["next_update_due"]
    running.done("incident", "note", name, "Ann is on it.")
    for step, state in (("mitigate", "mitigated"), ("reopen", "active"), ("resolve", "resolved")):
        assert running.done("incident", step, name, "-r", "because")["state"] == state
    texts = [line["text"] for line in running.done("incident", "timeline", name)]
    assert {"We roll back.", "Ann is on it.", "Mitigated", "Resolved"} <= set(texts)


def test_a_false_alarm_is_dismissed_and_leaves_the_list_of_open_ones(running: Running) -> None:
    name = declared(running)
    assert name in running("incident", "list").out
    assert running.done("incident", "dismiss", name, "-r", "a test")["state"] == "dismissed"
    assert name not in running("incident", "list").out
    assert name in running("incident", "list", "--all").out
    assert name in running("incident", "list", "--state", "dismissed", "--severity", "s2").out


def test_tables_tell_people_what_json_tells_programs(running: Running) -> None:
    name = declared(running, "Card payments fail")
    said = running("incident", "update", name, "We are looking.").out
    assert said == f"{name} is active, S2, told to the public as investigating: Card payments fail\n"
    shown = running("incident", "show", name).out
    assert "Card payments fail" in shown
    assert "We are looking." in shown
    assert "WHY" in running("incident", "timeline", name).out
    assert running("incident", "alerts", name).out == "No alert belongs to it.\n"
    assert "Card payments fail" in running("explain", name.removeprefix("INC-")).out


def test_a_fired_alert_is_decided_explained_and_told(running: Running) -> None:
    alert = ("fire", "DiskFull", "--severity", "s1", "--label", "service=db", "--annotation", "summary=Disk full")
    fingerprint = running.done(*alert)["fingerprint"]
    assert f"tocsin explain {fingerprint}" in running(*alert).out
    decision = decided(running, fingerprint)
    name = str(decision["incident"])
    assert decision["action"] == "open"
    explained = running("explain", fingerprint).out
    assert decision["reason"] in explained
    assert "severity=s1" in explained
    assert fingerprint in running("incident", "alerts", name).out
    assert fingerprint in running("explain", name).out
    running.done("fire", "DiskFull", "--severity", "s1", "--label", "service=db", "--resolve")


def test_two_incidents_become_one_and_one_becomes_two(running: Running) -> None:
    slow, down = [
        running.done("fire", name, "--severity", "s2", "--label", "service=queue", "--label", f"env={env}")["fingerprint"]
        for name, env in (("QueueSlow", "a"), ("QueueDown", "b"))
    ]
    first, second = [str(decided(running, fingerprint)["incident"]) for fingerprint in (slow, down)]
    assert running.done("incident", "merge", second, "--into", first, "-r", "same cause")["id"] == first
    assert f"merged into {first}" in running("incident", "show", second).out
    assert f"into {first}, which has its alerts now" in running("explain", second).out
    new = running.done("incident", "split", first, "--alert", down, "--title", "Broker", "-s", "s1", "-r", "another cause")
    assert (new["title"], new["severity"], new["alerts"]["firing"]) == ("Broker", "S1", 1)
    explained = running("explain", down).out
    assert f"moved {first}: {second} was merged into {first} by" in explained
    assert f"moved {new['id']}: split out of {first} by" in explained
    assert "An S1 or S2 alert opens an incident" in explained
    assert decided(running, down)["policy"] in explained
    assert f"moved {first}, moved {new['id']}" in running("explain", new["id"]).out


def test_a_refused_merge_or_split_says_what_else_can_be_done(running: Running) -> None:
    fingerprint = running.done("fire", "Alone", "--severity", "s2", "--label", "service=alone")["fingerprint"]
    name = str(decided(running, fingerprint)["incident"])
    assert "cannot be merged into itself" in running("incident", "merge", name, "--into", name, "-r", "x").err
    refused = running("incident", "split", name, "--alert", fingerprint, "-r", "x")
    assert (refused.status, refused.out) == (1, "")
    assert "declare that one and merge" in " ".join(refused.err.split())


def test_deliveries_are_listed_and_a_sent_one_is_not_sent_again(running: Running) -> None:
    name = declared(running)
    deadline = time.monotonic() + 10
    while not (sent := running.done("deliveries", "--incident", name.lower(), "--state", "sent")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sent[0]["id"] in running("deliveries", "--incident", name).out
    refused = running("deliveries", "retry", sent[0]["id"])
    assert refused.status == 1
    assert "only one that is failed or unknown" in refused.err


def test_a_refusal_is_said_in_words_with_every_place(running: Running) -> None:
    name = declared(running)
    refused = running("incident", "reopen", name, "-r", "again")
    assert (refused.status, refused.out) == (1, "")
    assert "active" in refused.err
    wrong = running("incident", "declare", "x", "-s", "s9")
    assert wrong.status == 1
    assert "/severity: " in wrong.err
    assert running("incident", "show", "INC-999999").status == 1


def test_hostile_text_is_shown_but_does_nothing(running: Running) -> None:
    name = declared(running, "[red]\x1b[2J evil \u202e title")
    for args in (("incident", "show", name), ("incident", "list"), ("incident", "timeline", name), ("explain", name)):
        outcome = running(*args)
        assert "[red]" in outcome.out
        assert not {"\x1b", "\u202e"} & set(outcome.out)


def test_without_a_token_it_says_how_to_get_one(running: Running) -> None:
    outcome = running("incident", "list", TOCSIN_STORAGE_PATH="/nonexistent")
    assert outcome.status == 1
    assert "TOCSIN_TOKEN" in outcome.err


def test_nobody_there_is_said_in_words(running: Running) -> None:
    for url in ("http://127.0.0.1:1", "ftp://x", "not an address", "http://[::1", "http://127.0.0.1:99999"):
        outcome = running("incident", "list", TOCSIN_URL=url)
        assert (outcome.status, outcome.out) == (1, "")
        assert "error:" in outcome.err


def test_an_answer_that_is_not_tocsins_is_said_in_words(running: Running) -> None:
    outcome = running("incident", "list", "--url", f"{running.url}/somewhere")
    assert outcome.status == 1


def test_the_administrators_token_is_for_this_machine_only(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_for(running.url, running.storage) == (running.storage / "admin-token").read_text().strip()
    assert token_for("http://tocsin.example.com", running.storage) is None
    monkeypatch.setenv("TOCSIN_TOKEN", "given")
    assert token_for("http://tocsin.example.com", running.storage) == "given"
    assert [is_local(f"http://{host}/") for host in ("localhost", "127.0.0.9", "[::1]", "10.0.0.1", "localhost.evil.com")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_lists_are_read_page_by_page(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [declared(running) for _ in range(3)]
    monkeypatch.setattr("services.cli.client.PAGE", 2)
    assert [incident["id"] for incident in running.done("incident", "list", "--limit", "3")] == names[::-1]
