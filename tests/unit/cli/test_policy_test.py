"""`tocsin policy test`: stories played on a policy, differences that can be read, faults at their lines."""

import json
from pathlib import Path

import pytest
import typer

from services.cli.options import Form
from services.cli.policy.test import test as run

POLICY = """\
severity:
  rules: [{name: multi-service, match: ['env="prod"'], severity: S2, breadth: {of: service, at_least: 3, within: 10m}}]
correlation: {rules: [{name: per-env, match: ['alertname="Errors"'], by: [env]}]}
rules: [{name: look-at-it, severity: [S3], action: triage}]
prometheus: {url: "http://127.0.0.1:9"}
slos: [{name: api-errors, match: ['service="api"'], query: x, degraded: {above: 1}, outage: {above: 2}}]
flapping: {count: 3, within: 1h}
"""
HEAD = "policy: tocsin.yaml\ntests:\n"
THREE = """\
  - name: three services make an S2
    alerts:
      - {at: 0m, for: 30m, labels: {alertname: Errors, service: web, env: prod, severity: s3}}
      - {at: 2m, for: 30m, labels: {alertname: Errors, service: api, env: prod, severity: s3}}
      - {at: 4m, for: 30m, labels: {alertname: Errors, service: db, env: prod, severity: s3}}
    expect:
      - {at: 3m, open: 1, incidents: [{id: INC-1, state: triage, severity: S3, firing: 2, services: [api, web]}]}
      - at: 4m
        decisions: [{alert: Errors, labels: {service: db}, action: attach, severity: S2, incident: INC-1, reason: joins}]
        incidents: [{id: INC-1, state: active, severity: S2}]
        timeline: [{incident: INC-1, text: "S3 → S2", reason: "third service firing"}]
"""


def written(folder: Path, tests: str, policy: str = POLICY) -> Path:
    (folder / "tocsin.yaml").write_text(policy)
    file = folder / "tests.yaml"
    file.write_text(HEAD + tests)
    return file


def status(file: Path, output: Form = Form.TABLE, *, verbose: bool = False) -> int:
    with pytest.raises(typer.Exit) as ended:
        run([file], verbose, output)
    return ended.value.exit_code


def failures(file: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is not as expected, in the order of the expectations."""
    assert status(file, Form.JSON) == 1
    (told,) = json.loads(capsys.readouterr().out)
    return [f"{each['at']} {each['what']}: {each['expected']} / {each['got']}" for each in told["tests"][0]["failures"]]


def test_a_story_that_comes_out_as_expected_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, THREE)
    assert status(file) == 0
    assert capsys.readouterr().out.splitlines() == [str(file), "  ok      three services make an S2", "", "1 passed, 0 failed"]


def test_each_difference_says_what_was_expected_what_came_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, THREE.replace("action: attach", "action: open").replace("state: active", "state: triage"))
    assert status(file) == 1
    assert capsys.readouterr().out.splitlines()[1:6] == [
        "  FAILED  three services make an S2",
        "          at 4m, alert Errors (service=db), action",
        "            expected  open",
        "            got       attach",
        "            because   S2 alert Errors (third service firing within 10m (api, db, web), rule multi-service) (env=prod) "
        "joins INC-1, which is triage for the same key.",
    ]


def test_everything_that_can_be_expected_can_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(
        tmp_path,
        """\
  - name: wrong
    alerts: [{at: 1m, for: 5m, labels: {alertname: A, service: web, severity: s1}}]
    expect:
      - at: 2m
        open: 0
        decisions:
          - {alert: A, action: record, incident: none, severity: unknown, rule: x, reason: nowhere}
          - {alert: B}
        incidents:
          - {id: INC-1, state: resolved, severity: S4, firing: 2, services: [db], title: T}
          - {id: INC-2}
        timeline: [{incident: INC-1, text: gone}, {incident: INC-3}]
""",
    )
    assert [line.split(": ")[0] for line in failures(file, capsys)] == [
        *(f"2m alert A, {key}" for key in ("action", "incident", "severity", "rule", "reason")),
        "2m alert B",
        *(f"2m INC-1, {key}" for key in ("state", "severity", "firing", "services", "title")),
        *("2m INC-2", "2m timeline of INC-1", "2m timeline of INC-3", "2m open incidents"),
    ]


def test_time_people_levels_and_repeats_are_played(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """\
  - name: what comes and goes is told once
    alerts: [{at: 0m, every: 10m, times: 4, for: 2m, labels: {alertname: A, service: web, severity: s1}}]
    expect: [{at: 31m, open: 1, timeline: [{incident: INC-1, text: "Flapping ×3"}], incidents: [{id: INC-1, firing: 1}]}]
  - name: an outage of the level makes it an S1, and people decide
    alerts: [{at: 0m, labels: {alertname: A, service: api, severity: s3}}]
    slos: [{at: 1m, name: api-errors, level: outage}]
    commands:
      - {at: 2m, incident: INC-1, do: severity, severity: S2}
      - {at: 3m, incident: INC-1, do: unpin}
      - {at: 4m, incident: INC-1, do: mitigate}
    expect:
      - {at: 0m, incidents: [{id: INC-1, state: triage, severity: S3}]}
      - {at: 1m, incidents: [{id: INC-1, state: active, severity: S1}], timeline: [{incident: INC-1, reason: "slo:api-errors"}]}
      - {at: 2m, incidents: [{id: INC-1, severity: S2}]}
      - {at: 4m, incidents: [{id: INC-1, state: mitigated}]}
  - name: a triage incident is dismissed by itself
    alerts: [{at: 0m, for: 1m, labels: {alertname: A, service: web, severity: s3}}]
    expect: [{at: 31m, open: 0, timeline: [{incident: INC-1, text: Dismissed, reason: never promoted}]}]
""",
    )
    assert status(file, verbose=True) == 0


@pytest.mark.parametrize(
    ("wrong", "right", "fault"),
    [
        ("action: attach", "action: atach", "did you mean 'attach'?"),
        ("at: 2m", "att: 2m", "unknown key; did you mean 'at'?"),
        (
            "for: 30m, labels: {alertname: Errors, service: web",
            "times: 2, labels: {alertname: Errors, service: web",
            "needs `every`",
        ),
        ("id: INC-1, state: triage", "id: first, state: triage", "id"),
    ],
)
def test_a_broken_file_is_refused_at_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, right: str, fault: str
) -> None:
    file = written(tmp_path, THREE.replace(wrong, right))
    assert status(file) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{file}:")
    assert fault in said


def test_a_broken_policy_is_refused_at_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, THREE, "rules: [{name: a, action: opn}]")
    assert status(file) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'tocsin.yaml'}:1:19: rules.0.action:")


def test_what_a_person_may_not_do_and_levels_that_are_unknown_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(
        tmp_path,
        """\
  - name: wrong
    commands: [{at: 1m, incident: INC-1, do: resolve}]
    slos: [{at: 0m, name: nobody, level: ok}]
    expect: [{at: 1m, open: 0}]
""",
    )
    assert failures(file, capsys) == [
        "0s slo nobody: an SLO of the policy / no such SLO",
        "1m resolve INC-1: it is done / refused: There is no such incident.",
    ]
