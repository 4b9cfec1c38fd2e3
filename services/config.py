"""`tocsin.yaml`: the whole file. Every process reads and checks all of it and uses its own sections.

Without a file all defaults hold, and they are a good policy: S1/S2 alerts open incidents, correlated by service and environment.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.vocabulary import Severity
from services.runtime.yamlfile import Duration, Section, load

Scope = Literal["alerts", "read", "respond", "admin"]
Name = Annotated[str, Field(min_length=1, max_length=100)]

DEFAULT_MAP = {"critical": Severity.S1, "error": Severity.S3, "warning": Severity.S4, "warn": Severity.S4, "info": Severity.S4}


class SeveritySection(Section):
    """Which label tells an alert's severity and what its words mean; `s1` … `s4` (any case) are always known."""

    label: Name = "severity"
    map: dict[str, Severity] = Field(default_factory=lambda: dict(DEFAULT_MAP))


class CorrelationSection(Section):
    """Alerts that agree in these labels belong to one incident.

    `service` falls back to `job`, then `alertname`; `env` falls back to `environment`, then `cluster`.
    """

    by: list[Name] = Field(default_factory=lambda: ["service", "env"], min_length=1, max_length=10)


class TimersSection(Section):
    """`quiet_period`: how long all S1/S2 alerts must be over before mitigation is proposed. `refire_window`: how long a
    resolved incident is reopened by the same trouble instead of a new one being opened."""

    quiet_period: Duration = timedelta(minutes=5)
    refire_window: Duration = timedelta(minutes=30)

    @field_validator("quiet_period", "refire_window")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(0) <= value <= timedelta(days=7):
            raise ValueError("expected a duration between 0s and 7d")
        return value


class SlackSection(Section):
    """Where messages go in Slack. The token is read from `token_file` (or TOCSIN_SLACK_TOKEN)."""

    token_file: Path | None = None
    channel: Name = "#incidents"
    api_url: Annotated[str, Field(pattern=r"^https?://\S+$")] = "https://slack.com/api/"


class Token(Section):
    """An API token, by the SHA-256 of its text. The one who acts with it is `person`, else `name`."""

    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: list[Scope] = Field(min_length=1)
    person: Name | None = None


class AccessSection(Section):
    """Who may do what; `admin` has every scope."""

    tokens: list[Token] = Field(default_factory=list)


class Person(Section):
    """Somebody who can be named in roles, as an actor, in messages."""

    id: Name
    name: Name
    slack: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")] | None = None
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None


class Config(Section):
    """The file."""

    severity: SeveritySection = SeveritySection()
    correlation: CorrelationSection = CorrelationSection()
    timers: TimersSection = TimersSection()
    slack: SlackSection | None = None
    access: AccessSection = AccessSection()
    people: list[Person] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_agree(self) -> "Config":
        wrong = list(self._disagreements())
        if wrong:
            raise ValidationError.from_exception_data("Config", wrong)
        return self

    def _disagreements(self) -> Iterator[InitErrorDetails]:
        """Each with its place in the file."""
        people, tokens = [person.id for person in self.people], [token.name for token in self.access.tokens]
        for kind, names, place, key in (("person", people, ("people",), "id"), ("token", tokens, ("access", "tokens"), "name")):
            for index, name in enumerate(names):
                if name in names[:index]:
                    yield _wrong((*place, index, key), f"two entries for the {kind} {name!r}; expected each once")
        for index, token in enumerate(self.access.tokens):
            if token.person is not None and token.person not in people:
                yield _wrong(("access", "tokens", index, "person"), f"there is no {token.person!r} under people")


def _wrong(place: tuple[str | int, ...], message: str) -> InitErrorDetails:
    kind = PydanticCustomError("disagreement", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=place, input=None)


@dataclass
class ConfigFile:
    """The configuration in force. `reload` swaps it whole or, when the file is broken, leaves it as it is."""

    path: Path | None
    config: Config
    hash: str

    @classmethod
    def open(cls, path: Path | None) -> "ConfigFile":
        """Read the file (or take all defaults when there is none); raises `ConfigError`."""
        return cls(path, *_read(path))

    def reload(self) -> None:
        """Raises `ConfigError` and changes nothing when the file is broken."""
        self.config, self.hash = _read(self.path)


def _read(path: Path | None) -> tuple[Config, str]:
    if path is None:
        config = Config()
        return config, f"sha256:{hashlib.sha256(config.model_dump_json().encode()).hexdigest()}"
    return load(path, Config)
