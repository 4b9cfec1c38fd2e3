"""The whole file as a model: which sections there are."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from services.config.access import AccessSection, Person
from services.config.checks import Disagreement, disagreements
from services.config.evidence import Saturation, Slo
from services.config.maintenance import Maintenance
from services.config.outside import AlertmanagerSection, PrometheusSection, SlackSection
from services.config.policy import (
    CorrelationSection,
    FlappingSection,
    GuardSection,
    Rule,
    SeveritySection,
    TimersSection,
    TriageSection,
)
from services.config.rotations import FeedsSection, Rotation
from services.config.values import Name
from services.runtime.yamlfile import Section


class ShadowSection(Section):
    """A candidate: decided beside the policy in force and compared with it, without any effect."""

    file: Name
    """A whole policy file, inside the folder of this one."""


class Config(Section):
    """A whole policy. Everything may be left out; what is left out has a default."""

    include: list[Name] = Field(default_factory=list)
    """Other files of this policy, inside the folder of this one; `*`, `?` and `**` may be used. Lists are appended in the order
    of the files, mappings are merged. What is included includes nothing."""
    severity: SeveritySection = SeveritySection()
    """What an alert's severity label means, and what raises an incident."""
    correlation: CorrelationSection = CorrelationSection()
    """Which alerts belong to one incident."""
    rules: list[Rule] = Field(default_factory=list)
    """What to do with a firing. The first rule that matches decides."""
    triage: TriageSection = TriageSection()
    """Incidents that somebody has to look at first."""
    flapping: FlappingSection = FlappingSection()
    """When an alert comes and goes too often to be believed."""
    guard: GuardSection = GuardSection()
    """When so many incidents open that they are one."""
    timers: TimersSection = TimersSection()
    """How long things may take."""
    dependencies: dict[Name, list[Name]] = Field(default_factory=dict)
    """Each service with those that it depends on, like `web: [db, cache]`."""
    maintenance: list[Maintenance] = Field(default_factory=list)
    """Planned work: what fires in these windows is recorded and opens nothing."""
    alertmanager: AlertmanagerSection | None = None
    """Alertmanager's API, asked for what fires, what is silenced and what is inhibited."""
    prometheus: PrometheusSection | None = None
    """Prometheus, asked for SLOs and saturation."""
    slos: list[Slo] = Field(default_factory=list)
    """Service-level objectives; they need `prometheus`."""
    saturation: list[Saturation] = Field(default_factory=list)
    """Resources that can be used up; they need `prometheus`."""
    shadow: ShadowSection | None = None
    """A candidate that is tried beside this policy."""
    slack: SlackSection | None = None
    """Messages to Slack. Without it they go to the message board only."""
    access: AccessSection = AccessSection()
    """Who may do what."""
    people: list[Person] = Field(default_factory=list)
    """Who can be named. Events carry the id only."""
    rotations: list[Rotation] = Field(default_factory=list)
    """Who is on call for which role."""
    feeds: FeedsSection = FeedsSection()
    """What holds for all calendars that rotations take."""

    @classmethod
    def disagreements(cls, data: Mapping[str, Any], complete: bool) -> Iterator[Disagreement]:
        return disagreements(data, complete)
