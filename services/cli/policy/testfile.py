"""The file of `tocsin policy test`: what happens, and what is expected of the policy."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from schemas.base import Instant
from schemas.vocabulary import Action, IncidentState, Severity
from services.orchestrator.domain.evidence.evidence import Level
from services.runtime.durations import Duration, between
from services.runtime.yamlfile import Section

After = Annotated[Duration, between("0s", "30d")]
"""So long after the beginning of the test."""
Labels = Annotated[dict[str, str], Field(max_length=64)]
Incident = Annotated[str, Field(pattern=r"^INC-[1-9][0-9]*$")]


class Alert(Section):
    """An alert that fires, once or again and again."""

    at: After
    """When it first fires."""
    lasts: Annotated[Duration, between("1s", "30d")] | None = Field(default=None, alias="for")
    """How long it fires each time; without it, it fires to the end."""
    every: Annotated[Duration, between("1s", "30d")] | None = None
    """How long after its beginning it fires again."""
    times: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    """How often it fires in all."""
    labels: Labels
    """Its labels, `alertname` among them."""
    annotations: Labels = Field(default_factory=dict)
    """Its annotations."""

    @field_validator("times")
    @classmethod
    def _again(cls, times: int, info: ValidationInfo) -> int:
        if times > 1 and (info.data.get("every") is None or info.data.get("lasts") is None):
            raise ValueError("more than once needs `every` and `for`")
        return times


class SloLevel(Section):
    """What Prometheus says of a service level from a moment on."""

    at: After
    """From when on."""
    name: str
    """Which of the policy's SLOs."""
    level: Level
    """How it is then."""


class Command(Section):
    """What a person does to an incident."""

    at: After
    """When."""
    incident: Incident
    """To which one, as the simulation names them: `INC-1` is the first."""
    do: Literal["promote", "mitigate", "resolve", "reopen", "dismiss", "severity", "unpin"]
    """What is done."""
    severity: Severity | None = Field(default=None, validate_default=True)
    """With `severity`: the judgement, which is pinned."""

    @field_validator("severity")
    @classmethod
    def _judged(cls, severity: Severity | None, info: ValidationInfo) -> Severity | None:
        if info.data.get("do") == "severity" and severity is None:
            raise ValueError("expected how severe it is judged, like S2")
        return severity


class DecisionExpected(Section):
    """What should have been decided about an alert when it last began. Only the keys that are given are compared."""

    alert: str
    """Its name."""
    labels: Labels = Field(default_factory=dict)
    """Further labels that single it out."""
    action: Action | None = None
    """What was decided."""
    incident: Incident | Literal["none"] | None = None
    """To which incident it belongs by then; `none`: to none."""
    severity: Severity | Literal["unknown"] | None = None
    """How severe it was found."""
    rule: str | None = None
    """Which rule decided."""
    reason: str | None = None
    """A part of the reason."""


class IncidentExpected(Section):
    """How an incident should be by then. Only the keys that are given are compared."""

    id: Incident
    """Which one."""
    state: IncidentState | None = None
    """Its state."""
    severity: Severity | None = None
    """Its severity."""
    services: list[str] | None = None
    """Its services, in any order."""
    firing: int | None = None
    """How many of its alerts fire."""
    title: str | None = None
    """A part of its title."""


class LineExpected(Section):
    """A line that an incident's timeline should have by then."""

    incident: Incident
    """Of which incident."""
    text: str | None = None
    """A part of what happened."""
    reason: str | None = None
    """A part of why."""


class Expectation(Section):
    """What should be so at a moment; whatever happens at that very moment has happened."""

    at: After
    """When."""
    decisions: list[DecisionExpected] = Field(default_factory=list)
    """About which alerts what was decided."""
    incidents: list[IncidentExpected] = Field(default_factory=list)
    """How incidents are."""
    open: Annotated[int, Field(strict=True, ge=0)] | None = None
    """How many incidents are open."""
    timeline: list[LineExpected] = Field(default_factory=list)
    """What timelines say."""


class Case(Section):
    """One story and what is expected of it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """What it shows, as a sentence."""
    start: Instant = datetime(2026, 1, 1, tzinfo=UTC)
    """When it begins; matters for maintenance windows."""
    alerts: list[Alert] = Field(default_factory=list)
    """What fires when."""
    slos: list[SloLevel] = Field(default_factory=list)
    """What Prometheus says when."""
    commands: list[Command] = Field(default_factory=list)
    """What people do when."""
    expect: list[Expectation] = Field(min_length=1)
    """What should come of it."""


class CaseFile(Section):
    """A policy and its tests."""

    policy: Path
    """The policy's file, as seen from this one."""
    tests: list[Case] = Field(min_length=1)
    """Its tests."""

    @classmethod
    def disagreements(cls, data: Any, complete: bool) -> Iterator[tuple[tuple[str | int, ...], str]]:
        del complete
        tests = data.get("tests")
        names = [test.get("name") if isinstance(test, dict) else None for test in tests] if isinstance(tests, list) else []
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                yield ("tests", index, "name"), f"two tests are called {name!r}; expected each once"
