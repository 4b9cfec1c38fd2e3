"""Candidates that run beside the policy: how far each has come, what it would have decided, and what it would have opened.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("events_position", "events", ["position"])
    op.create_table(
        "shadows",
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.Column("leader", sa.Text),
        sa.Column("lease_until", UtcDateTime),
    )
    _decisions()
    _openings()


def _decisions() -> None:
    op.create_table(
        "shadow_decisions",
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("was", sa.Text, nullable=False),
        sa.Column("would_be", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("incident", sa.Text),
        sa.Column("severity", sa.Text),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("same", sa.Boolean, nullable=False),
    )
    op.create_index("shadow_decisions_age", "shadow_decisions", ["policy", "at"])


def _openings() -> None:
    op.create_table(
        "shadow_openings",
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("was", sa.Text),
        sa.Column("would_be", sa.Text),
        sa.Column("severity", sa.Text),
        sa.Column("quiet", sa.Boolean),
        sa.Column("rule", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("counterpart", sa.Text),
    )
    op.create_index("shadow_openings_age", "shadow_openings", ["policy", "at"])
    op.create_index("shadow_openings_was", "shadow_openings", ["policy", "was"])
