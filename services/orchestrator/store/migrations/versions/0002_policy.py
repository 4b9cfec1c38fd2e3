"""What a policy looks at beyond single alerts: keys and who holds them, later turns of a firing, policies by their hash.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from services.runtime.db import UtcDateTime

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _firings()
    _keys()
    _beside()


def _firings() -> None:
    for column in (
        sa.Column("key", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("begins", sa.JSON),
        sa.Column("recheck_at", UtcDateTime),
        sa.Column("closed_at", UtcDateTime),
        sa.Column("closed_before", sa.BigInteger),
        sa.Column("decided_incident", sa.Text),
        sa.Column("decided_severity", sa.Text),
    ):
        op.add_column("firings", column)
    key = "json_extract(facts, '$.correlation_key')" if op.get_bind().dialect.name == "sqlite" else "facts ->> 'correlation_key'"
    op.execute(f"UPDATE firings SET decided_incident = incident, decided_severity = severity, key = coalesce({key}, '')")  # noqa: S608  one of two constants
    due, waiting = sa.text("recheck_at IS NOT NULL"), sa.text("latest AND incident IS NULL AND ends_at IS NULL")
    op.create_index("firings_recheck", "firings", ["recheck_at"], postgresql_where=due, sqlite_where=due)
    op.create_index("firings_waiting", "firings", ["key"], postgresql_where=waiting, sqlite_where=waiting)
    op.add_column("events", sa.Column("position", sa.BigInteger, nullable=False, server_default="0"))


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.execute(
        "INSERT INTO keys (key, incident, body)"
        " SELECT correlation_key, id, '{}' FROM incidents AS held WHERE correlation_key IS NOT NULL AND number ="
        " (SELECT max(number) FROM incidents AS other WHERE other.correlation_key = held.correlation_key)"
    )
    op.create_index("keys_incident", "keys", ["incident"])


def _beside() -> None:
    op.create_table(
        "turns",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("incident", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("turns_firing", "turns", ["seq", "id"])
    op.create_table(
        "policies",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("first_used_at", UtcDateTime, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
    )
