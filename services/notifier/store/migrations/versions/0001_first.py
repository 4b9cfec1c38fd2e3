"""The first tables."""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0001"
down_revision = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _runtime()
    _deliveries()
    _board()


def _runtime() -> None:
    op.create_table(
        "offsets",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "work",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
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


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("doubt", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("give_up_at", UtcDateTime, nullable=False),
        sa.Column("caused_at", UtcDateTime),
        sa.Column("sent_at", UtcDateTime),
        sa.Column("url", sa.Text),
    )
    op.create_index("deliveries_place", "deliveries", ["incident", "channel", "destination", "state"])
    op.create_index("deliveries_state", "deliveries", ["state", "seq"])
    op.create_table(
        "threads",
        sa.Column("incident", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("planned", sa.Integer, nullable=False),
        sa.Column("address", sa.JSON),
        sa.Column("url", sa.Text),
        sa.Column("marker", sa.Text),
        sa.Column("tried_at", UtcDateTime),
    )


def _board() -> None:
    op.create_table(
        "board_messages",
        sa.Column("seq", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("delivery", sa.Text, nullable=False),
        sa.Column("thread", sa.Text),
        sa.Column("over", sa.Boolean, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("posted_at", UtcDateTime, nullable=False),
        sa.Column("edited_at", UtcDateTime),
    )
    op.create_index("board_messages_delivery", "board_messages", ["delivery"])
    op.create_index("board_messages_thread", "board_messages", ["thread", "over", "seq"])
