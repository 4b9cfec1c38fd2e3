"""The one base class of all contract models."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Contract(BaseModel):
    """A value that crosses a border: frozen, unknown fields ignored (a newer writer may know more than we do)."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a moment between the years 1 and 9999 in UTC") from None


Instant = Annotated[datetime, AfterValidator(_utc)]
"""A moment in UTC; a value without a zone is taken as UTC."""
