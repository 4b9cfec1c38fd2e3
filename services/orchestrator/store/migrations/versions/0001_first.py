"""First schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OPEN = sa.text("state IN ('triage', 'active', 'mitigated')")


def upgrade() -> None:
    _plumbing()
    _firings()
    _incidents()
    _beside()


def _plumbing() -> None:
    op.create_table(
        "offsets",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "work",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("lane", sa.Text),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.UniqueConstraint("queue", "key"),
    )
    op.create_index("work_due", "work", ["queue", "due_at"])
    op.create_index("work_lane", "work", ["queue", "lane", "id"])


def _firings() -> None:
    op.create_table(
        "firings",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("latest", sa.Boolean, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("generator_url", sa.Text, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("newest_start", UtcDateTime, nullable=False),
        sa.Column("last_seen", UtcDateTime, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("not_before", UtcDateTime),
        sa.Column("ends_at", UtcDateTime),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("severity", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("incident", sa.Text),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("decided_at", UtcDateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    latest = sa.text("latest")
    op.create_index("firings_latest", "firings", ["fingerprint"], unique=True, postgresql_where=latest, sqlite_where=latest)
    op.create_index("firings_history", "firings", ["fingerprint", "seq"])
    op.create_index("firings_incident", "firings", ["incident", "seq"])


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("correlation_key", sa.Text),
        sa.Column("resolved_at", UtcDateTime),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index(
        "incidents_one_open_per_key",
        "incidents",
        ["correlation_key"],
        unique=True,
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )
    op.create_index("incidents_recent", "incidents", ["correlation_key", "resolved_at"])
    op.create_table(
        "events",
        sa.Column("incident", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("actor", sa.JSON, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("recorded_at", UtcDateTime, nullable=False),
        sa.Column("caused_at", UtcDateTime),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("change", sa.JSON, nullable=False),
    )


def _beside() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index("notices_incident", "notices", ["incident", "at"])
    op.create_table(
        "answers",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_index("answers_age", "answers", ["at"])
