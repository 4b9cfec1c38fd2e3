"""What Alertmanager says of open firings: when they would end by themselves, and what mutes them.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("firings", sa.Column("expires_at", UtcDateTime))
    op.add_column("firings", sa.Column("muted_by", sa.Text))
    open_ones = sa.text("ends_at IS NULL")
    op.create_index("firings_open", "firings", ["state"], postgresql_where=open_ones, sqlite_where=open_ones)
