"""Who stands in for whom, and the last good copies of calendars.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "overrides",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
        sa.Column("rotation", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("starts", UtcDateTime, nullable=False),
        sa.Column("ends", UtcDateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("ended_by", sa.Text),
        sa.Column("end_reason", sa.Text),
    )
    op.create_index("overrides_time", "overrides", ["ends"])
    op.create_table(
        "feeds",
        sa.Column("rotation", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("fetched_at", UtcDateTime),
        sa.Column("etag", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("entries", sa.JSON, nullable=False),
        sa.Column("known_from", UtcDateTime),
        sa.Column("known_until", UtcDateTime),
        sa.Column("failing_since", UtcDateTime),
        sa.Column("reason", sa.Text),
    )
