"""The topics: what they carry, by what they are keyed, how long they are kept."""

from dataclasses import dataclass

ALERTS = "tocsin.alerts"
COMMANDS = "tocsin.commands"
INCIDENTS = "tocsin.incidents"
REPLIES = "tocsin.replies"
DELIVERIES = "tocsin.deliveries"
DEADLETTERS = "tocsin.deadletters"

_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Topic:
    """One topic. Messages with the same key keep their order; `retention` is in seconds."""

    name: str
    key: str
    partitions: int = 12
    retention: int = 7 * _DAY


TOPICS = (
    Topic(ALERTS, key="fingerprint"),
    Topic(COMMANDS, key="conversation"),
    Topic(INCIDENTS, key="incident"),
    Topic(REPLIES, key="command id"),
    Topic(DELIVERIES, key="incident"),
    Topic(DEADLETTERS, key="origin", partitions=1, retention=30 * _DAY),
)
