"""The orchestrator's tables. The events are the truth; `incidents` is their fold, kept for reading and for the unique index.

In `firings` the columns `decided_…`, `action`, `rule`, `policy`, `reason` and `facts` are the decision, which never changes;
`incident` and `severity` are what the firing belongs to now. `closed_before` and an event's `position` are the number of the next
decision at that moment: they give the order of everything that decisions depend on, whatever clocks say.

`shadows` are candidates that ran beside the policy; `first` is the first decision that was compared, `position` the next one to
be. In `shadow_decisions` and `shadow_openings` stands what they would have decided and opened, by the number of the decision
behind it; `was` is what was done in earnest. `counterpart` is what people's acts on `was` happen to.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

from services.runtime.db import UtcDateTime
from services.runtime.offsets import offsets_table
from services.runtime.outbox import outbox_table
from services.runtime.work import work_table

metadata = MetaData()

offsets = offsets_table(metadata)
outbox = outbox_table(metadata)
work = work_table(metadata)

RECHECK = "recheck_at IS NOT NULL"
OPEN = "ends_at IS NULL"
WAITING = "latest AND incident IS NULL AND ends_at IS NULL"

firings = Table(
    "firings",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("fingerprint", Text, nullable=False),
    Column("latest", Boolean, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("generator_url", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("newest_start", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("state", Text, nullable=False),
    Column("severity", Text),
    Column("action", Text, nullable=False),
    Column("incident", Text),
    Column("rule", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("key", Text, nullable=False, server_default=text("''")),
    Column("begins", JSON),
    Column("recheck_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("closed_before", BigInteger),
    Column("decided_incident", Text),
    Column("decided_severity", Text),
    Column("expires_at", UtcDateTime),
    Column("muted_by", Text),
    Index("firings_latest", "fingerprint", unique=True, postgresql_where=text("latest"), sqlite_where=text("latest")),
    Index("firings_history", "fingerprint", "seq"),
    Index("firings_incident", "incident", "seq"),
    Index("firings_open", "state", postgresql_where=text(OPEN), sqlite_where=text(OPEN)),
    Index("firings_recheck", "recheck_at", postgresql_where=text(RECHECK), sqlite_where=text(RECHECK)),
    Index("firings_waiting", "key", postgresql_where=text(WAITING), sqlite_where=text(WAITING)),
)

keys = Table(
    "keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("incident", Text),
    Column("body", JSON, nullable=False),
    Index("keys_incident", "incident"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("seq", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("event", Text, nullable=False),
    Column("incident", Text),
    Column("reason", Text, nullable=False),
    Index("turns_firing", "seq", "id"),
)

policies = Table(
    "policies",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("first_used_at", UtcDateTime, nullable=False),
    Column("document", JSON, nullable=False),
)

OPEN_STATES = "state IN ('triage', 'active', 'mitigated')"

incidents = Table(
    "incidents",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("correlation_key", Text),
    Column("resolved_at", UtcDateTime),
    Column("body", JSON, nullable=False),
    Index(
        "incidents_one_open_per_key",
        "correlation_key",
        unique=True,
        postgresql_where=text(OPEN_STATES),
        sqlite_where=text(OPEN_STATES),
    ),
    Index("incidents_recent", "correlation_key", "resolved_at"),
)

events = Table(
    "events",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("actor", JSON, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("caused_at", UtcDateTime),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("change", JSON, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Index("events_position", "position"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("body", JSON, nullable=False),
    Index("notices_incident", "incident", "at"),
)

answers = Table(
    "answers",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("incident", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("answers_age", "at"),
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("match", JSON, nullable=False),
    Column("starts", Text, nullable=False),
    Column("duration", Integer, nullable=False),
    Column("zone", Text, nullable=False),
    Column("rrule", Text),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("over_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("ended_by", Text),
    Column("end_reason", Text),
)
"""`starts` is by the clock on the wall in `zone`, `duration` in seconds. `over_at`: after that it covers nothing any more.
`revision` numbers the changes of the whole table, so that its highest one tells whether anything has changed."""

shadows = Table(
    "shadows",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("leader", Text),
    Column("lease_until", UtcDateTime),
)

shadow_decisions = Table(
    "shadow_decisions",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("was", Text, nullable=False),
    Column("would_be", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("incident", Text),
    Column("severity", Text),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("same", Boolean, nullable=False),
    Index("shadow_decisions_age", "policy", "at"),
)

shadow_openings = Table(
    "shadow_openings",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("was", Text),
    Column("would_be", Text),
    Column("severity", Text),
    Column("quiet", Boolean),
    Column("rule", Text),
    Column("reason", Text),
    Column("ended_at", UtcDateTime),
    Column("counterpart", Text),
    Index("shadow_openings_age", "policy", "at"),
    Index("shadow_openings_was", "policy", "was"),
)


overrides = Table(
    "overrides",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("rotation", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("starts", UtcDateTime, nullable=False),
    Column("ends", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("ended_by", Text),
    Column("end_reason", Text),
    Index("overrides_time", "ends"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("rotation", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("fetched_at", UtcDateTime),
    Column("etag", Text),
    Column("body", LargeBinary),
    Column("entries", JSON, nullable=False),
    Column("known_from", UtcDateTime),
    Column("known_until", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("reason", Text),
)
"""The last good copy of each calendar, and what stands in it from `known_from` until `known_until`. `source` tells whether it is
of the calendar that the configuration names now. `fetched_at` is when its source last said that it is so. `revision` numbers the
changes of the row."""
