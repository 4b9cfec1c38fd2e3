"""From the configuration to what Prometheus and Alertmanager are asked."""

from dataclasses import dataclass, field, replace
from functools import partial

from services import config as file
from services.orchestrator.adapters.alertmanager import Cluster, ask
from services.orchestrator.adapters.prometheus import Target, prometheus
from services.orchestrator.domain.evidence.evidence import Saturation, Threshold
from services.orchestrator.handlers.evidence import Watch
from services.orchestrator.handlers.reconcile import Rounds
from services.orchestrator.policyfile import slo_of


def watch_of(config: file.ConfigFile) -> Watch:
    """The queries with their places in the file, and whom to ask."""
    sections, section = config.config, config.config.prometheus
    slos = [replace(slo_of(slo), place=config.place(("slos", index, "query"))) for index, slo in enumerate(sections.slos)]
    saturation = [
        Saturation(
            name=each.name,
            query=each.query,
            line=Threshold(each.above, each.below),
            dashboard=each.dashboard,
            place=config.place(("saturation", index, "query")),
        )
        for index, each in enumerate(sections.saturation)
    ]
    if section is None:
        return Watch(slos, saturation)
    return Watch(slos, saturation, section.refresh, partial(prometheus, target_of(section)))


def target_of(section: file.PrometheusSection) -> Target:
    """Whom to ask."""
    return Target(section.url, section.timeout, section.token_file, section.username, section.password_file)


def rounds_of(config: file.ConfigFile) -> Rounds:
    """How open alerts are held against what Alertmanager lists."""
    stale_after, section = config.config.timers.stale_after, config.config.alertmanager
    if section is None:
        return Rounds(stale_after)
    return Rounds(stale_after, section.interval, tuple(section.urls), partial(ask, cluster_of(section)))


def cluster_of(section: file.AlertmanagerSection) -> Cluster:
    """Whom to ask."""
    return Cluster(tuple(section.urls), section.timeout, section.token_file, section.username, section.password_file)


@dataclass
class WatchInForce:
    """Reads the file's queries anew only when the file has changed."""

    file: file.ConfigFile
    _hash: str | None = field(default=None, init=False)
    _watch: Watch = field(default_factory=Watch, init=False)

    def __call__(self) -> Watch:
        if self._hash != self.file.hash:
            self._watch, self._hash = watch_of(self.file), self.file.hash
        return self._watch
