"""What is shipped beside the code says nothing that is not so: rules, examples, compose, image, documentation."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from pydantic import BaseModel
from typer.exceptions import TyperException

from services.cli.__main__ import build
from services.config import Config, ConfigFile
from services.ingest.sources import SOURCES
from services.notifier.channels.slack import channel as slack_channel
from services.process import Settings, assemble
from services.runtime.clock import Clock
from services.runtime.errors import ConfigError
from tests.conftest import need

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "tocsin-rules.yml"
EXAMPLE = DEPLOY / "examples" / "tocsin.yaml"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
WRITTEN = sorted(path for path in [*PAGES, *DEPLOY.rglob("*"), *(ROOT / "docs").rglob("*")] if path.is_file())
METRIC = re.compile(r"\b(?:tocsin_[a-z0-9_]+|up)\b")


A_POLICY = """\
prometheus: {url: "http://127.0.0.1:1"}
slos: [{name: web, match: 'service="web"', query: x, degraded: {above: 1}, outage: {above: 2}}]
rotations: [{name: eoc, role: eoc, feed: {file: /none}}]
"""


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    """Everything that a process with all three services shows, by the name of the metric."""
    registry = CollectorRegistry()
    monkeypatch.setattr("services.process.new_registry", lambda: registry)
    (tmp_path / "tocsin.yaml").write_text(A_POLICY)
    with closing(assemble(Settings(storage=tmp_path, port=0, config_file=tmp_path / "tocsin.yaml"), Clock())) as process:
        process.metrics.loop_failures.labels("a.loop")  # shown once the loops run
    return {_shown(metric): metric for metric in registry.collect()}


def _shown(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _run(request: pytest.FixtureRequest, tool: str, *arguments: str) -> str:
    missing = None if shutil.which(tool) else f"{tool} is not on the PATH; on Debian it comes with the package of its server"
    need(request.config, tool, missing)
    done = subprocess.run([tool, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _yaml(RULES)["groups"] for rule in group["rules"]]


class TestPrometheus:
    def test_rules_and_configuration_are_valid(self, request: pytest.FixtureRequest) -> None:
        _run(request, "promtool", "check", "rules", str(RULES))
        _run(request, "promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))

    def test_every_alert_fires_when_it_should(self, request: pytest.FixtureRequest) -> None:
        _run(request, "promtool", "test", "rules", "deploy/prometheus/tocsin-rules.test.yml")

    def test_every_alert_has_a_test_that_it_fires_and_one_that_it_is_quiet(self) -> None:
        tests = [each for test in _yaml(RULES.with_name("tocsin-rules.test.yml"))["tests"] for each in test["alert_rule_test"]]
        names = {rule["alert"] for rule in _rules()}
        assert {test["alertname"] for test in tests if test.get("exp_alerts")} == names
        assert {test["alertname"] for test in tests if not test.get("exp_alerts")} == names

    def test_every_alert_says_how_bad_it_is_and_what_to_do(self) -> None:
        for rule in _rules():
            assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
            assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule["alert"]
            page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            assert anchor == rule["alert"].lower()
            assert anchor in _anchors(ROOT / page), rule["alert"]

    def test_rules_name_only_metrics_and_labels_that_exist(self, metrics: dict[str, Metric]) -> None:
        known = set(metrics) | {"up"} | {f"{name}_bucket" for name, metric in metrics.items() if metric.type == "histogram"}
        for rule in _rules():
            assert set(METRIC.findall(rule["expr"])) <= known, rule["alert"]
            for name, selector in re.findall(r"(tocsin_[a-z_]+)\{([^}]*)\}", rule["expr"]):
                labels = _labels(metrics[name.removesuffix("_bucket")])
                for label, value in re.findall(r'(\w+)(?:=~?|!=)"([^"]*)"', selector):
                    assert set(value.split("|")) <= labels[label], (rule["alert"], label)

    def test_the_scrape_job_is_the_one_that_the_rules_expect(self) -> None:
        jobs = {job["job_name"] for job in _yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]}
        assert set(re.findall(r'job="(\w+)"', RULES.read_text())) == jobs


def _labels(metric: Metric) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for sample in metric.samples:
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    return values


class TestAlertmanager:
    PATH = DEPLOY / "alertmanager" / "alertmanager.yml"

    def test_the_example_is_valid(self, request: pytest.FixtureRequest) -> None:
        _run(request, "amtool", "check-config", str(self.PATH))

    def test_it_sends_everything_to_the_webhook(self) -> None:
        config = _yaml(self.PATH)
        [webhook] = next(each for each in config["receivers"] if each["name"] == "tocsin")["webhook_configs"]
        assert webhook["url"].endswith(SOURCES[0].path)
        assert webhook["send_resolved"] is True
        assert webhook["max_alerts"] == 0
        secrets = _compose()["services"]["alertmanager"]["secrets"]
        assert webhook["http_config"]["authorization"]["credentials_file"] == secrets[0]["target"]

    def test_alerts_about_tocsin_do_not_go_to_tocsin(self) -> None:
        [route] = _yaml(self.PATH)["route"]["routes"]
        pattern = re.fullmatch(r'alertname =~ "(.*)"', route["matchers"][0])
        assert pattern and route["receiver"] != "tocsin"
        assert all(re.fullmatch(pattern[1], rule["alert"]) for rule in _rules())


class TestConfiguration:
    def test_every_example_loads(self) -> None:
        examples = list((DEPLOY / "examples").glob("*.yaml"))
        assert EXAMPLE in examples
        for path in examples:
            ConfigFile.open(path)

    def test_the_example_holds_the_defaults(self) -> None:
        assert ConfigFile.open(EXAMPLE).config == Config()

    def test_what_is_commented_out_loads_too_and_nothing_is_missing(self, tmp_path: Path) -> None:
        path = _uncommented(tmp_path)
        try:
            found = ConfigFile.open(path)
        except ConfigError as error:
            pytest.fail(str(error))
        assert found.warnings == ()
        assert set(_paths(_yaml(path))) >= set(_keys(Config))

    def test_what_is_commented_out_is_the_default_where_there_is_one(self, tmp_path: Path) -> None:
        given = ConfigFile.open(_uncommented(tmp_path)).config
        assert given.alertmanager is not None and given.prometheus is not None
        assert (given.alertmanager.interval, given.alertmanager.timeout) == (timedelta(minutes=1), timedelta(seconds=10))
        assert (given.prometheus.timeout, given.prometheus.refresh) == (timedelta(seconds=5), timedelta(seconds=30))
        assert given.slos[0].sustained == given.slos[1].sustained
        assert given.slos[0].severity == given.slos[1].severity

    def test_the_reference_lists_exactly_the_keys_that_there_are(self) -> None:
        rows = re.findall(r"^\| `([a-z_.\[\]0-9]+)` \|", _section(ROOT / "docs" / "user-guide.md", "Configuration"), re.MULTILINE)
        assert sorted(rows) == sorted(_keys(Config))


def _uncommented(folder: Path) -> Path:
    """The example with all that is commented out, and the files that it names."""
    path = folder / "tocsin.yaml"
    path.write_text(re.sub(r"^#(?=\S|  )", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    (folder / "candidate.yaml").write_text("timers: {quiet_period: 10m}\n")
    return path


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """`severity.label`, `access.tokens[].name`: every key that holds a value."""
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        inner = _model_in(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            many = "[]" if getattr(field.annotation, "__origin__", None) is list else ""
            yield from _keys(inner, f"{prefix}{name}{many}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    found = [each for each in (annotation, *getattr(annotation, "__args__", ())) if isinstance(each, type)]
    return next((each for each in found if issubclass(each, BaseModel)), None)


def _paths(data: Any, prefix: str = "") -> Iterator[str]:
    for name, value in data.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
        for each in value if isinstance(value, list) else ():
            if isinstance(each, dict):
                yield from _paths(each, f"{prefix}{name}[].")


def _compose() -> Any:
    return _yaml(DEPLOY / "compose.yaml")


class TestImage:
    def test_compose_names_only_variables_that_exist(self) -> None:
        known = set(_variables())
        for name in ("ingest", "orchestrator", "notifier"):
            service = _compose()["services"][name]
            assert set(service["environment"]) <= known, name
            _parses(["tocsin", *service["command"]])

    def test_compose_starts_each_service_with_what_it_needs(self) -> None:
        services = _compose()["services"]
        for name in ("ingest", "orchestrator", "notifier"):
            given = services[name]["environment"]
            Settings(
                targets=(services[name]["command"][1],), kafka=given["TOCSIN_KAFKA"], database=given.get("TOCSIN_DATABASE")
            ).check()
            assert "/-/ready" in services[name]["healthcheck"]["test"][-1]
        environments = [services[name]["environment"] for name in ("ingest", "orchestrator", "notifier")]
        assert "TOCSIN_DATABASE" not in environments[0]
        assert "TOCSIN_SLACK_TOKEN" not in environments[1]

    def test_compose_names_only_files_that_exist_or_that_the_guide_says_to_make(self) -> None:
        compose, guide = _compose(), (ROOT / "docs" / "operations.md").read_text()
        files = [each["file"] for kind in ("configs", "secrets") for each in compose[kind].values()]
        assert all(f"deploy/{path.removeprefix('./')}" in guide for path in files)
        mounts = [each.split(":")[0] for service in compose["services"].values() for each in service.get("volumes", ())]
        assert all((DEPLOY / path).exists() for path in mounts if path.startswith("."))
        assert {path for path in mounts if not path.startswith(".")} == set(compose["volumes"])

    def test_scraped_and_called_hosts_are_services_of_compose(self) -> None:
        hosts = set(_compose()["services"])
        prometheus = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        called = re.findall(r'"([a-z]+):\d+"', prometheus) + re.findall(r"http://([a-z]+):", TestAlertmanager.PATH.read_text())
        assert called and set(called) <= hosts

    def test_the_image_starts_commands_that_exist_with_variables_that_exist(self) -> None:
        text = (DEPLOY / "Dockerfile").read_text()
        words = [re.search(rf"^{name} (\[.*\])$", text, re.MULTILINE) for name in ("ENTRYPOINT", "CMD")]
        _parses([word for match in words if match for word in yaml.safe_load(match[1])])
        assert set(re.findall(r"TOCSIN_[A-Z_]+", text)) <= set(_variables())

    def test_the_image_takes_only_what_it_is_allowed_to_see(self) -> None:
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
        names = {name for line in copied for name in line.split()}
        allowed = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
        assert names == set(allowed)
        assert all((ROOT / name).exists() for name in names)

    def test_the_image_installs_by_hash_and_runs_as_nobody_special(self) -> None:
        text = (DEPLOY / "Dockerfile").read_text()
        assert "--require-hashes -r requirements.lock" in text
        assert re.search(r"^USER (?!root|0)\w+$", text, re.MULTILINE)
        assert text.rindex("USER ") > text.rindex("COPY ")


def test_slack_is_asked_for_the_scopes_that_the_guide_names() -> None:
    scopes = _yaml(DEPLOY / "slack" / "manifest.yaml")["oauth_config"]["scopes"]["bot"]
    guide = _section(ROOT / "docs" / "user-guide.md", "Connect Slack")
    assert set(scopes) == set(re.findall(r"`([a-z]+:[a-z]+)`", guide))
    needed = re.findall(r"[a-z]+:(?:read|history)", slack_channel.SlackChannel.find.__doc__ or "")
    assert {*needed, "chat:write"} == set(scopes)


class TestDocumentation:
    def test_the_table_of_metrics_is_that_of_the_code(self, metrics: dict[str, Metric]) -> None:
        section = _section(ROOT / "docs" / "operations.md", "Metrics")
        rows = dict(re.findall(r"^\| `(tocsin_\w+)` \|([^|]*)\|", section, re.MULTILINE))
        own = {name: metric for name, metric in metrics.items() if name.startswith("tocsin_")}
        assert sorted(rows) == sorted(own)
        for name, metric in own.items():
            assert set(rows[name].replace(",", " ").split()) == set(_labels(metric)) - {"le"}, name

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_metrics_that_are_named_exist(self, path: Path, metrics: dict[str, Metric]) -> None:
        assert set(re.findall(r"\btocsin_[a-z_]+\b", path.read_text())) <= set(metrics)

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_links_lead_somewhere(self, path: Path) -> None:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            assert there.exists(), target
            assert not anchor or anchor in _anchors(there), target

    @pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
    def test_commands_and_variables_exist(self, path: Path) -> None:
        text = path.read_text()
        for line in _commands(path):
            _parses(shlex.split(line, comments=True))
        assert set(re.findall(r"\bTOCSIN_[A-Z_]+\b", text)) <= {*_variables(), "TOCSIN_TEST_KAFKA", "TOCSIN_TEST_POSTGRES"}

    def test_what_make_is_told_to_do_it_can(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        told = {word for page in PAGES for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
        assert told and told <= targets

    def test_the_table_of_flags_is_that_of_the_code(self) -> None:
        section = _section(ROOT / "docs" / "operations.md", "Flags and environment")
        rows = re.findall(r"^\| (?:`(--\S+)`|–) \| `(TOCSIN_\w+)` \|", section, re.MULTILINE)
        flags = {option.opts[0]: str(option.envvar) for option in _options() if option.envvar and option.opts[0].startswith("--")}
        assert {flag: variable for flag, variable in rows if flag} == flags
        assert sorted(variable for _, variable in rows) == sorted(_variables())

    def test_the_table_of_routes_is_that_of_the_code(self, tmp_path: Path) -> None:
        with closing(assemble(Settings(storage=tmp_path, port=0), Clock())) as process:
            parts = process.parts
        there = {
            f"{method} {route.path}"  # type: ignore[attr-defined]
            for part in parts
            for router in part.routers
            for route in router.routes
            for method in route.methods  # type: ignore[attr-defined]
        } | {f"POST {source.path}" for source in SOURCES}
        section = _section(ROOT / "docs" / "user-guide.md", "HTTP API")
        rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
        told = {route for row in rows for route in re.findall(r"`([A-Z]+ /[^`]*)`", row)}
        operators = {"GET /docs", "POST /-/reload", "GET /-/healthy", "GET /-/ready", "GET /metrics"}
        assert told == there | operators

    def test_every_command_is_in_the_guide(self) -> None:
        told = set(re.findall(r"^\| `tocsin ([a-z-]+)", _section(ROOT / "docs" / "user-guide.md", "Command line"), re.MULTILINE))
        assert told == set(_command().commands)

    def test_every_decision_is_in_the_list(self) -> None:
        folder = ROOT / "docs" / "decisions"
        listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text())
        assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
        for name in listed:
            headings = re.findall(r"^## (.+)$", (folder / name).read_text(), re.MULTILINE)
            assert headings == ["Context", "Decision", "Consequences"], name


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def _section(page: Path, heading: str) -> str:
    match = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no section {heading!r}"
    return match[1]


@cache
def _command() -> Any:
    return typer.main.get_command(build())


def _walk(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _walk(inner)


def _options() -> list[Any]:
    return [parameter for command in _walk(_command()) for parameter in command.params]


@cache
def _variables() -> frozenset[str]:
    """Those of the flags, and the secrets, which have none."""
    secrets = {
        name
        for path in [*(ROOT / "services" / "cli").rglob("*.py")]
        for name in re.findall(r'secret\("(TOCSIN_\w+)"\)', path.read_text())
    }
    return frozenset({str(option.envvar) for option in _options() if option.envvar} | secrets)


def _commands(path: Path) -> Iterator[str]:
    """Each `tocsin …` of a page: in a block of commands, or as code in a sentence."""
    text = path.read_text()
    if path.suffix == ".md":
        blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        yield from re.findall(r"^ *(?:\.venv/bin/)?(tocsin .+)$", "\n".join(blocks), re.MULTILINE)
        yield from re.findall(r"`(tocsin [^`]+)`", text)
    else:
        yield from re.findall(r"`(tocsin [^`]+)`", text)


def _parses(words: list[str]) -> None:
    """The command exists and takes these flags and arguments; a sentence may name a command alone."""
    command, rest = _command(), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if rest in ([], ["…"]) or words[1:] == ["COMMAND", "--help"]:
        return
    if hasattr(command, "commands") and not rest[0].startswith("-"):
        pytest.fail(f"{shlex.join(words)}: there is no command {rest[0]!r}")
    try:
        command.make_context("tocsin", list(rest))
    except TyperException as error:
        pytest.fail(f"{shlex.join(words)}: {error}")


@pytest.mark.parametrize(
    "line",
    ["serve --storage /x", "incident mitigate INC-1", "nonsense", "incident nonsense", "token create --name x --scope wrong"],
)
def test_a_command_that_is_not_true_would_be_found(line: str) -> None:
    with pytest.raises(pytest.fail.Exception):
        _parses(["tocsin", *shlex.split(line)])
