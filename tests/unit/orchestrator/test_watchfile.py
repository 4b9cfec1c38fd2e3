"""What the configuration has Prometheus asked."""

from datetime import timedelta
from pathlib import Path

from schemas.vocabulary import Severity
from services.config import ConfigFile
from services.orchestrator.adapters.prometheus import Target
from services.orchestrator.domain.evidence.evidence import Level, Threshold
from services.orchestrator.watchfile import WatchInForce, target_of, watch_of

PROMETHEUS = """\
prometheus: {url: "http://prometheus:9090/x", timeout: 2s, refresh: 10s, token_file: /etc/token}
"""
ASKED = """\
slos:
  - name: web
    match: 'service="web"'
    query: errors
    degraded: {below: 0.9}
    outage: {below: 0.5}
    for: 10m
    severity: {degraded: S3, outage: S2}
    dashboard: https://grafana.example
saturation:
  - {name: disk, query: used, above: 0.9}
"""


def written(folder: Path, text: str) -> ConfigFile:
    (folder / "tocsin.yaml").write_text(text)
    return ConfigFile.open(folder / "tocsin.yaml")


def test_every_query_with_its_lines_and_its_place(tmp_path: Path) -> None:
    watch = watch_of(written(tmp_path, PROMETHEUS + ASKED))
    [slo], [disk] = watch.slos, watch.saturation
    assert (slo.name, slo.query, slo.sustained) == ("web", "errors", timedelta(minutes=10))
    assert (slo.degraded, slo.outage) == (Threshold(below=0.9), Threshold(below=0.5))
    assert (slo.severity[Level.DEGRADED], slo.severity[Level.OUTAGE]) == (Severity.S3, Severity.S2)
    assert (str(slo.selector), slo.dashboard) == ('{service="web"}', "https://grafana.example")
    assert (disk.name, disk.query, disk.line, disk.dashboard) == ("disk", "used", Threshold(above=0.9), None)
    assert (slo.place, disk.place) == (f"{tmp_path}/tocsin.yaml:5:5", f"{tmp_path}/tocsin.yaml:12:18")
    assert watch.refresh == timedelta(seconds=10)


def test_whom_to_ask_and_what_to_show(tmp_path: Path) -> None:
    section = written(tmp_path, PROMETHEUS).config.prometheus
    assert section is not None
    assert target_of(section) == Target("http://prometheus:9090/x", timedelta(seconds=2), Path("/etc/token"))


def test_without_a_section_there_is_nobody_to_ask(tmp_path: Path) -> None:
    watch = watch_of(written(tmp_path, ""))
    assert (watch.subjects, watch.connect) == ([], None)


def test_a_reload_is_taken_and_nothing_else_is_read_again(tmp_path: Path) -> None:
    file = written(tmp_path, PROMETHEUS + ASKED)
    in_force = WatchInForce(file)
    assert in_force() is in_force()
    (tmp_path / "tocsin.yaml").write_text(PROMETHEUS)
    file.reload()
    assert in_force().subjects == []
