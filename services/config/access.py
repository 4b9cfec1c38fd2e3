"""Who may do what, and who can be named."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from services.config.values import Name, Zone
from services.runtime.yamlfile import Section

Scope = Literal["alerts", "read", "respond", "admin"]


def _phone(number: str) -> str:
    if not re.fullmatch(r"\+[0-9][0-9 ()./-]{4,30}", number):
        raise ValueError("expected a number in international form, in quotes, like '+49 30 1234567'")
    return number


Phone = Annotated[str, AfterValidator(_phone), Field(json_schema_extra={"examples": ["+49 30 1234567"]})]


class Token(Section):
    """An API token, by the SHA-256 of its text. The one who acts with it is `person`, else `name`."""

    name: Name
    """Whom the token is for; each name once."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The hash, as `tocsin token create` prints it."""
    scopes: list[Scope] = Field(min_length=1)
    """What it may do. `admin` has every scope."""
    person: Name | None = None
    """The id of the person who acts with it."""


class AccessSection(Section):
    """Who may do what; `admin` has every scope."""

    tokens: list[Token] = Field(default_factory=list)
    """The tokens beside the administrator's, which is always there."""


class Person(Section):
    """Somebody who can be named in roles, as an actor, in messages."""

    id: Name
    """How events name them; each id once."""
    name: Name
    """How people call them."""
    slack: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")] | None = None
    """Their member id."""
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Their address."""
    gitlab: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=255)] | None = None
    """Their user name in GitLab."""
    phone: Phone | None = None
    """Their number in international form, like `+49 30 1234567`."""
    pager: Annotated[str, Field(pattern=r"^\S+$", max_length=200)] | None = None
    """How a pager finds them, like their id there. It is no secret."""
    zone: Zone | None = None
    """Where they live, like `Europe/Berlin`: in which time they think."""
    skills: list[Name] = Field(default_factory=list)
    """What they know, like `postgres`."""

    @property
    def reachable(self) -> bool:
        """Whether there is any way to tell them something."""
        return any((self.slack, self.email, self.phone, self.pager))
