"""The servers outside: where they are, and how Tocsin shows who it is. Secrets are read from files or the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from services.config.values import BaseUrl, Beat, Name, Patience
from services.runtime.durations import parse_duration
from services.runtime.yamlfile import Section


class SlackSection(Section):
    """Where messages go in Slack. The token is read from `token_file` (or TOCSIN_SLACK_TOKEN)."""

    token_file: Path | None = None
    """A file whose first line is the bot's token; TOCSIN_SLACK_TOKEN wins over it."""
    channel: Name = "#incidents"
    """The channel, by name or id. The app has to be a member of it."""
    api_url: Annotated[str, Field(pattern=r"^https?://\S+$")] = "https://slack.com/api/"
    """Slack's API, or a proxy."""


class Login(Section):
    """How Tocsin shows who it is: not at all, by a token, or by a user with a password."""

    token_file: Path | None = None
    """A file whose first line is a bearer token."""
    username: Name | None = None
    """The user for basic authentication."""
    password_file: Path | None = Field(default=None, validate_default=True)
    """A file whose first line is the user's password."""

    @field_validator("username")
    @classmethod
    def _one_way(cls, username: str | None, info: ValidationInfo) -> str | None:
        if username is not None and info.data.get("token_file") is not None:
            raise ValueError("is given beside token_file; expected one of them")
        return username

    @field_validator("password_file")
    @classmethod
    def _with_user(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if "username" in info.data and (path is None) != (info.data["username"] is None):
            raise ValueError("expected username and password_file together, or none of them")
        return path


class AlertmanagerSection(Login):
    """Alertmanager's API, asked for what fires, what is silenced and what is inhibited."""

    urls: list[BaseUrl] = Field(min_length=1, max_length=10)
    """One address for each Alertmanager of the cluster."""
    interval: Beat = parse_duration("1m")
    """How often they are asked; 1s to 1h."""
    timeout: Patience = parse_duration("10s")
    """How long an answer may take; 1s to 1m."""


class PrometheusSection(Login):
    """Prometheus, asked for SLOs and saturation."""

    url: BaseUrl
    """Its address."""
    timeout: Patience = parse_duration("5s")
    """How long an answer may take; 1s to 1m."""
    refresh: Beat = parse_duration("30s")
    """How often the queries are asked; 1s to 1h."""
