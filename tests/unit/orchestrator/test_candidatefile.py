"""The candidate that the configuration names: it follows each reload, and a broken one disturbs nobody."""

from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.config import ConfigFile
from services.orchestrator import candidatefile
from services.orchestrator.candidatefile import CandidateFile
from services.orchestrator.metrics import ShadowMetrics


class Folder:
    """A configuration with a candidate beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("tocsin", "shadow: {file: candidate.yaml}")
        self.write("candidate", "timers: {quiet_period: 1m}")
        self.file = ConfigFile.open(path / "tocsin.yaml")
        self.metrics = ShadowMetrics(CollectorRegistry())
        self.candidate = CandidateFile(self.file, self.metrics)

    def write(self, name: str, text: str) -> None:
        (self.path / f"{name}.yaml").write_text(text + "\n")

    @property
    def quiet_period(self) -> float | None:
        policy = self.candidate()
        return policy.quiet_period.total_seconds() if policy else None

    @property
    def valid(self) -> float:
        return float(self.metrics.config_valid._value.get())


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no other test has set up."""
    monkeypatch.setattr(candidatefile, "log", structlog.get_logger())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_it_is_a_policy_under_its_own_hash(folder: Folder) -> None:
    policy = folder.candidate()
    assert policy
    assert (folder.candidate.name, folder.quiet_period, folder.valid) == ("candidate.yaml", 60, 1)
    assert policy.version != folder.file.hash
    assert folder.candidate() is policy


def test_it_is_read_anew_when_the_configuration_is_and_not_before(folder: Folder) -> None:
    assert folder.quiet_period == 60
    folder.write("candidate", "timers: {quiet_period: 2m}")
    assert folder.quiet_period == 60
    folder.file.reload()
    assert folder.quiet_period == 120


def test_a_broken_one_is_refused_with_its_faults_and_the_one_before_goes_on(folder: Folder) -> None:
    assert folder.quiet_period == 60
    folder.write("candidate", "timers: {quiet_period: soon}\nzebra: 1")
    folder.write("tocsin", "shadow: {file: candidate.yaml}\ntimers: {quiet_period: 9m}")
    folder.file.reload()
    with capture_logs() as logs:
        assert folder.quiet_period == 60
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("shadow_config_refused", "error")
    assert [fault.removeprefix(f"{folder.path}/").partition(": ")[0] for fault in line["faults"]] == [
        "candidate.yaml:1:10",
        "candidate.yaml:2:1",
    ]
    assert (folder.valid, folder.candidate.valid) == (0, False)
    assert folder.file.config.timers.quiet_period.total_seconds() == 540
    folder.write("candidate", "timers: {quiet_period: 3m}")
    folder.file.reload()
    assert (folder.quiet_period, folder.valid) == (180, 1)


def test_one_that_is_not_there_is_as_broken(folder: Folder) -> None:
    (folder.path / "candidate.yaml").unlink()
    folder.file.reload()
    with capture_logs() as logs:
        assert (folder.quiet_period, folder.valid) == (None, 0)
    assert "there is no" in logs[0]["faults"][0]


def test_without_the_section_there_is_none_and_nothing_is_wrong(folder: Folder) -> None:
    assert folder.quiet_period == 60
    folder.write("tocsin", "")
    folder.file.reload()
    assert (folder.candidate(), folder.candidate.name, folder.valid) == (None, None, 1)
