"""What ingest says about alerts."""

from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from schemas.base import Contract, Instant
from schemas.ids import Fingerprint, digest
from schemas.vocabulary import AlertStatus

MAX_LABELS = 64
MAX_LABEL_NAME = 1024
MAX_LABEL_VALUE = 4 * 1024
MAX_ANNOTATION = 32 * 1024
MAX_MESSAGE = 256 * 1024


class AlertReceived(Contract):
    """One alert as it stood in one webhook, bounded and checked, otherwise untouched (hostile text stays hostile).

    `ends_at` is None while the alert fires. `received_at` is the moment ingest read the webhook.
    """

    TYPE: ClassVar[str] = "tocsin.alert.received.v1"

    fingerprint: Fingerprint = Field(min_length=1, max_length=64)
    status: AlertStatus
    labels: dict[str, str] = Field(max_length=MAX_LABELS)
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: Instant
    ends_at: Instant | None = None
    generator_url: str = ""
    group_key: str = ""
    receiver: str = ""
    external_url: str = ""
    received_at: Instant

    @property
    def message_id(self) -> str:
        """Identifies the message: duplicates of high-availability peers and of retries collapse on it."""
        return digest("alert", self.fingerprint, self.starts_at.isoformat(), self.status)


def plausible_start(starts_at: datetime, now: datetime) -> bool:
    """Whether a start lies between 1970 and a day from now; anything else is a broken sender's clock."""
    return datetime(1970, 1, 1, tzinfo=UTC) <= starts_at and (starts_at - now).total_seconds() <= 24 * 60 * 60
