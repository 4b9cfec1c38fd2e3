"""`tocsin.yaml`: the whole file. Every process reads and checks all of it and uses its own sections.

Without a file all defaults hold, and they are a good policy: S1/S2 alerts open incidents, correlated by service and environment.
"""

from services.config.access import AccessSection, Person, Scope, Token
from services.config.evidence import Saturation, Slo, SloSeverity, Threshold
from services.config.file import ConfigFile
from services.config.maintenance import Maintenance
from services.config.model import Config, ShadowSection
from services.config.outside import AlertmanagerSection, PrometheusSection, SlackSection
from services.config.policy import (
    DEFAULT_MAP,
    Breadth,
    Combine,
    CorrelationRule,
    CorrelationSection,
    FlappingSection,
    GuardSection,
    History,
    Promote,
    Rule,
    SeverityRule,
    SeveritySection,
    TimersSection,
    TriageSection,
)
from services.config.rotations import (
    Feed,
    FeedsSection,
    Hours,
    Layer,
    Member,
    Rotation,
    days_of,
    minutes_of,
    wall_moment,
    written_interval,
)
from services.runtime.yamlfile import Section

__all__ = [
    "DEFAULT_MAP",
    "AccessSection",
    "AlertmanagerSection",
    "Breadth",
    "Combine",
    "Config",
    "ConfigFile",
    "CorrelationRule",
    "CorrelationSection",
    "Feed",
    "FeedsSection",
    "FlappingSection",
    "GuardSection",
    "History",
    "Hours",
    "Layer",
    "Maintenance",
    "Member",
    "Person",
    "PrometheusSection",
    "Promote",
    "Rotation",
    "Rule",
    "Saturation",
    "Scope",
    "Section",
    "SeverityRule",
    "SeveritySection",
    "ShadowSection",
    "SlackSection",
    "Slo",
    "SloSeverity",
    "Threshold",
    "TimersSection",
    "Token",
    "TriageSection",
    "days_of",
    "minutes_of",
    "wall_moment",
    "written_interval",
]
