"""`check-config`, `token` and `alertmanager-snippet`: what goes into files."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.config import Config
from services.runtime.auth import token_hash
from services.runtime.yamlfile import parse
from tests.unit.cli.conftest import Tocsin


def test_every_fault_of_a_configuration_is_at_its_place(tocsin: Tocsin, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text("timers:\n  quiet_period: soon\nslak: {}\n")
    outcome = tocsin("check-config", str(file))
    assert outcome.status == 1
    assert outcome.out.splitlines() == [
        f"{file}:2:3: timers.quiet_period: expected a duration like 30s, 5m, 1h30m or 2d",
        f"{file}:3:1: slak: unknown key; did you mean 'slack'?",
    ]
    faults = tocsin("check-config", str(file), "-o", "json").json["faults"]
    assert [(fault["line"], fault["column"]) for fault in faults] == [(2, 3), (3, 1)]


def test_a_good_configuration_is_summed_up_with_its_hash(tocsin: Tocsin, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text('slack: {channel: "#ops"}\n')
    outcome = tocsin("check-config", str(file))
    assert outcome.status == 0
    assert re.match(r"OK sha256:[0-9a-f]{64}\n", outcome.out)
    assert "Slack: #ops" in outcome.out
    assert tocsin("check-config", TOCSIN_CONFIG_FILE=str(file)).status == 0


def test_the_faults_of_a_candidate_are_told_as_well(tocsin: Tocsin, tmp_path: Path) -> None:
    file, candidate = tmp_path / "tocsin.yaml", tmp_path / "candidate.yaml"
    file.write_text("shadow: {file: candidate.yaml}\n")
    candidate.write_text("zebra: 1\n")
    outcome = tocsin("check-config", str(file))
    assert (outcome.status, outcome.out.startswith(f"{candidate}:1:1: zebra: unknown key")) == (1, True)
    told = tocsin("check-config", str(file), "-o", "json").json
    assert (told["ok"], len(told["faults"])) == (False, 1)


WHOLE = """\
include: [more.yaml]
severity: {rules: [{name: a, match: a=b, severity: S1}]}
correlation: {by: [team], rules: [{name: a, match: a=b, by: [cluster]}, {name: b, by: [service]}]}
rules: [{name: a, match: a=b, action: record}, {name: b, match: c=d, action: ignore}, {name: c, match: e=f, action: record}]
timers: {quiet_period: 90m, stale_after: 1d}
guard: {openings: 3, within: 5m}
dependencies: {web: [db], api: [db]}
alertmanager: {urls: ["http://one:9093", "http://two:9093"]}
prometheus: {url: "http://prometheus:9090"}
slos: [{name: web-errors, match: a=b, query: q, degraded: {above: 1}, outage: {above: 2}}]
shadow: {file: candidate.yaml}
"""


def test_all_that_a_configuration_says_is_summed_up(tocsin: Tocsin, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text(WHOLE)
    (tmp_path / "more.yaml").write_text("maintenance: [{name: move, match: a=b, starts: 2026-01-01T00:00, duration: 1h}]\n")
    (tmp_path / "candidate.yaml").write_text("")
    ok, *lines = tocsin("check-config", str(file)).out.splitlines()
    assert re.fullmatch(r"OK sha256:[0-9a-f]{64} \(2 files\)", ok)
    assert [line.strip() for line in lines] == [
        "severity from the label 'severity', 5 words beside s1 … s4; 1 rule may raise an incident",
        "alerts belong together by team; 2 rules for others",
        "rules: 2 record, 1 ignore",
        "mitigation proposed after 1h30m, reopened within 30m, stale after 1d",
        "guard: at most 3 incidents open within 5m",
        "dependencies: web, api",
        "maintenance: move",
        "SLOs: web-errors",
        "Alertmanager: http://one:9093, http://two:9093",
        "Prometheus: http://prometheus:9090",
        "shadow: candidate.yaml is tried beside it, without effect",
        "Slack: not configured, messages go to the board only",
        "on call: no rotations",
        "0 tokens, 0 of them may send alerts; 0 people",
    ]
    told = tocsin("check-config", str(file), "-o", "json").json
    assert (told["ok"], told["warnings"], told["files"]) == (True, [], [str(file), str(tmp_path / "more.yaml")])
    assert told["summary"] == [line.strip() for line in lines]


def test_a_warning_is_told_and_is_no_fault(tocsin: Tocsin, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text('rules:\n  - {name: a, action: open}\n  - {name: "b\\e[31m", action: open}\n')
    outcome = tocsin("check-config", str(file))
    warning, ok, *_ = outcome.out.splitlines()
    assert outcome.status == 0
    assert warning.startswith(f"{file}:3:5: warning: rules.1: 'b")
    assert ok.startswith("OK ")
    assert "\x1b" not in outcome.out
    (told,) = tocsin("check-config", str(file), "-o", "json").json["warnings"]
    assert (told["file"], told["line"], told["column"]) == (str(file), 3, 5)


def test_a_missing_configuration_is_a_fault(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("check-config", str(tmp_path / "none.yaml"))
    assert outcome.status == 1
    assert "cannot be read: No such file" in outcome.out


@pytest.mark.parametrize("name", ["alertmanager", "Ann's [new] token: #1", "yes", "42"])
def test_a_token_comes_with_its_line_for_the_configuration(tocsin: Tocsin, name: str) -> None:
    outcome = tocsin("token", "create", "--name", name, "--scope", "read", "--scope", "respond", "--person", "ann")
    token, *_, line = outcome.out.splitlines()
    file = f"people: [{{id: ann, name: Ann}}]\naccess:\n  tokens:\n    {line}\n"
    (known,) = parse(file.encode(), "tocsin.yaml", Config).access.tokens
    assert (known.name, known.sha256, known.scopes, known.person) == (name, token_hash(token), ["read", "respond"], "ann")


def test_two_tokens_are_two(tocsin: Tocsin) -> None:
    made = [tocsin("token", "create", "--name", "a", "--scope", "alerts", "-o", "json").json["token"] for _ in range(2)]
    assert len(set(made)) == 2


def merged(snippet: str, token: Path) -> dict[str, Any]:
    """The snippet put into the smallest configuration there is."""
    mine = yaml.safe_load(snippet)
    return {
        "route": {"receiver": "default"} | mine["route"],
        "receivers": [{"name": "default"}, *mine["receivers"]],
    }


def test_the_snippet_sends_everything_with_the_token_from_a_file(tocsin: Tocsin) -> None:
    outcome = tocsin("alertmanager-snippet", "--url", "https://tocsin.example.com/", "--credentials-file", "/run/token")
    (receiver,) = yaml.safe_load(outcome.out)["receivers"]
    assert receiver["webhook_configs"] == [
        {
            "url": "https://tocsin.example.com/webhooks/alertmanager",
            "send_resolved": True,
            "max_alerts": 0,
            "http_config": {"authorization": {"credentials_file": "/run/token"}},
        }
    ]
    assert "tocsin token create --name alertmanager --scope alerts" in outcome.out


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_takes_the_snippet(tocsin: Tocsin, tmp_path: Path) -> None:
    file, token = tmp_path / "alertmanager.yml", tmp_path / "token"
    token.write_text("x")
    file.write_text(yaml.safe_dump(merged(tocsin("alertmanager-snippet", "--credentials-file", str(token)).out, token)))
    checked = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 receivers" in checked.stdout
