"""The tables, as the newest migration leaves them."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

from services.runtime.db import UtcDateTime
from services.runtime.offsets import offsets_table
from services.runtime.outbox import outbox_table
from services.runtime.work import work_table

METADATA = MetaData()

OFFSETS = offsets_table(METADATA)
OUTBOX = outbox_table(METADATA)
WORK = work_table(METADATA)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("incident", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("doubt", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("give_up_at", UtcDateTime, nullable=False),
    Column("caused_at", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("url", Text),
    Index("deliveries_place", "incident", "channel", "destination", "state"),
    Index("deliveries_state", "state", "seq"),
)
"""`why` it is sent; `reason`: why it is in its state. `seq` gives the order of planning."""

THREADS = Table(
    "threads",
    METADATA,
    Column("incident", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("planned", Integer, nullable=False),
    Column("address", JSON(none_as_null=True)),
    Column("url", Text),
    Column("marker", Text),
    Column("tried_at", UtcDateTime),
)
"""`planned`: the newest version for which a summary was planned. The rest is `ports.Thread`."""

BOARD = Table(
    "board_messages",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("delivery", Text, nullable=False),
    Column("thread", Text),
    Column("over", Boolean, nullable=False),
    Column("content", Text, nullable=False),
    Column("posted_at", UtcDateTime, nullable=False),
    Column("edited_at", UtcDateTime),
    Index("board_messages_delivery", "delivery"),
    Index("board_messages_thread", "thread", "over", "seq"),
)
"""`thread` is the id of the message that a reply belongs to; `delivery`: the last that wrote it. `over`: the incident is."""
