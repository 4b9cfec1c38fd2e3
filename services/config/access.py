"""Who may do what, and who can be named."""

from typing import Annotated, Literal

from pydantic import Field

from services.config.values import Name
from services.runtime.yamlfile import Section

Scope = Literal["alerts", "read", "respond", "admin"]


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
