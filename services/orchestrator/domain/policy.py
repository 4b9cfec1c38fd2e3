"""The rules in force, as a value: what an alert's labels mean."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache

from schemas.ids import digest
from schemas.vocabulary import Severity
from services.orchestrator.domain.incident import Quiet

MAX_KEY = 1000
"""Bytes; PostgreSQL indexes at most 2,704."""

_ALWAYS_KNOWN = {severity.value.lower(): severity for severity in Severity}
_FALLBACKS = {"service": ("service", "job", "alertname"), "env": ("env", "environment", "cluster")}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str, limit: int) -> str:
    """The text without control characters, at most `limit` characters long (a cut is marked by `…`)."""
    plain = _CONTROL.sub(" ", text).strip()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


@dataclass(frozen=True)
class Policy:
    """`version` is the hash of the file it came from; decisions carry it."""

    version: str
    severity_label: str = "severity"
    severity_map: Mapping[str, Severity] = field(default_factory=dict)
    correlation: tuple[str, ...] = ("service", "env")
    quiet_period: timedelta = timedelta(minutes=5)
    refire_window: timedelta = timedelta(minutes=30)
    triage_quiet_period: timedelta = timedelta(minutes=30)

    @property
    def quiet(self) -> Quiet:
        return Quiet(active=self.quiet_period, triage=self.triage_quiet_period)

    def severity_of(self, labels: Mapping[str, str]) -> Severity | None:
        """What the alert's severity label means; None when it is missing or its word is not known."""
        return self._words.get(labels.get(self.severity_label, "").strip().lower())

    @cached_property
    def _words(self) -> Mapping[str, Severity]:
        return {name.lower(): severity for name, severity in self.severity_map.items()} | _ALWAYS_KNOWN

    def correlation_key(self, labels: Mapping[str, str]) -> str:
        """`service=web,env=gprd`: alerts with equal keys belong together. A missing label counts as empty.

        Values that could be mistaken for two are quoted; a key too long for an index is cut and ends with its digest.
        """
        return _key(self.correlation, tuple([label_or_fallback(labels, name) or "" for name in self.correlation]))


@lru_cache(maxsize=4096)
def _key(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    key = ",".join(f"{name}={_quoted(value)}" for name, value in zip(names, values, strict=True))
    return key if len(key.encode()) <= MAX_KEY else f"{key.encode()[: MAX_KEY // 2].decode(errors='ignore')}…{digest(key)}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ',="') else value


def label_or_fallback(labels: Mapping[str, str], name: str) -> str | None:
    """The label, or the one that stands in for it (`service`: job, alertname; `env`: environment, cluster)."""
    for key in _FALLBACKS.get(name, (name,)):
        if value := labels.get(key):
            return value
    return None


def service_of(labels: Mapping[str, str]) -> str | None:
    return label_or_fallback(labels, "service")


def environment_of(labels: Mapping[str, str]) -> str | None:
    return label_or_fallback(labels, "env")
