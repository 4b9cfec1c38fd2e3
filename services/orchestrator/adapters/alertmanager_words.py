"""What Alertmanager's API version 2 says, as we read it: only what we need, and nothing that it must have.

Words about silences and inhibitions come from people and alerts; they are made one line each, and are otherwise untouched.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from schemas.base import Instant
from schemas.vocabulary import FiringState
from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.alerts.reconcile import Seen

MAX_WORDS = 500

_MOMENT: TypeAdapter[datetime] = TypeAdapter(Instant)


def _moment(value: object) -> datetime | None:
    """None for what is no moment, and for the zero with which Go says that there is none."""
    try:
        found = _MOMENT.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        return None
    return found if found is not None and found > datetime(1970, 1, 1, tzinfo=UTC) else None


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []


def _string(value: object) -> str:
    """Text that can be stored: half a character becomes a question mark."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Strings = Annotated[list[str], BeforeValidator(_strings)]
String = Annotated[str, BeforeValidator(_string)]


class Listed(BaseModel):
    """An alert that is not over."""

    fingerprint: str = Field(min_length=1)
    ends_at: Moment = Field(None, validation_alias="endsAt")
    state: String = Field("", validation_alias=AliasPath("status", "state"))
    silenced_by: Strings = Field([], validation_alias=AliasPath("status", "silencedBy"))
    inhibited_by: Strings = Field([], validation_alias=AliasPath("status", "inhibitedBy"))
    muted_by: Strings = Field([], validation_alias=AliasPath("status", "mutedBy"))

    @property
    def muted(self) -> bool:
        return bool(self.silenced_by or self.inhibited_by or self.muted_by) or self.state == "suppressed"


class Silence(BaseModel):
    """Who silenced something, until when, and why."""

    id: str = Field(min_length=1)
    created_by: String = Field("", validation_alias="createdBy")
    comment: String = ""
    ends_at: Moment = Field(None, validation_alias="endsAt")


class Status(BaseModel):
    """Since when it runs, and which release it is."""

    uptime: Moment = None
    version: String = Field("", validation_alias=AliasPath("versionInfo", "version"))


def name_of(item: Mapping[str, Any]) -> str:
    """The `alertname` of a listed alert, empty when it has none."""
    labels = item.get("labels")
    return _string(labels.get("alertname")) if isinstance(labels, dict) else ""


def seen(alert: Listed, silences: Mapping[str, Silence], names: Mapping[str, str]) -> Seen:
    """What it says of the alert; `names` are those of the listed alerts by their fingerprints."""
    if not alert.muted:
        return Seen(FiringState.FIRING, alert.ends_at)
    reasons = [
        *_by_silences([silences.get(name) or Silence(id=name) for name in alert.silenced_by]),
        *_by_inhibition(alert.inhibited_by, names),
        *([f"muted by the time interval {one_line(', '.join(alert.muted_by), 200)}"] if alert.muted_by else []),
    ]
    words = " and ".join(reasons) or "muted, Alertmanager does not say by what"
    return Seen(FiringState.MUTED, alert.ends_at, one_line(words, MAX_WORDS))


def _by_silences(silences: Sequence[Silence]) -> list[str]:
    """The one that lasts longest, for until then the alert is silenced."""
    if not silences:
        return []
    last = max(silences, key=lambda silence: (silence.ends_at is not None, silence.ends_at, silence.id))
    who = f" by {one_line(last.created_by, 100)}" if last.created_by.strip() else ""
    until = f" until {last.ends_at:%Y-%m-%d %H:%M} UTC" if last.ends_at else ""
    why = f": {one_line(last.comment, 200)}" if last.comment.strip() else ""
    return [f"silenced{who}{until}{why} (silence {one_line(last.id, 9)}{_more(silences)})"]


def _by_inhibition(fingerprints: Sequence[str], names: Mapping[str, str]) -> list[str]:
    if not fingerprints:
        return []
    first = min(fingerprints, key=lambda each: (not names.get(each), names.get(each, ""), each))
    name = one_line(names.get(first) or "an alert", 100)
    return [f"inhibited by {name} (fingerprint {one_line(first, 16)}{_more(fingerprints)})"]


def _more(all_of_them: Sequence[object]) -> str:
    return f", and {len(all_of_them) - 1} more" if len(all_of_them) > 1 else ""
