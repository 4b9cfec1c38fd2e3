"""Whole systems for acceptance and fault tests: embedded in one child process, or three processes on Kafka and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import TOPICS
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer
from tests.support.slack import TOKEN as SLACK_TOKEN
from tests.support.slack import SlackServer
from tests.support.tocsin import TOKEN, Child, Client, children

THREE = ("orchestrator", "notifier", "ingest")


@dataclass
class Stack:
    """A running system: its processes by name (`all`, or one each), a client, and the Slack stand-in it talks to."""

    processes: dict[str, Child]
    client: Client
    slack: SlackServer

    @property
    def webhook_url(self) -> str:
        return f"{self.client.ingest}/webhooks/alertmanager"


async def forget_topics(kafka: KafkaServer) -> None:
    """Delete Tocsin's topics, so that a new system on a shared broker begins with nothing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()  # type: ignore[no-untyped-call]  # aiokafka leaves it untyped
    try:
        ours = {topic.name for topic in TOPICS}
        await admin.delete_topics([name for name in await admin.list_topics() if name in ours])
        while ours & set(await admin.list_topics()):
            await asyncio.sleep(0.02)
    finally:
        await admin.close()  # type: ignore[no-untyped-call]  # aiokafka leaves it untyped


def tocsin_yaml(slack: SlackServer, quiet_period: str) -> str:
    return f"""\
timers: {{quiet_period: {quiet_period}}}
slack: {{channel: "#incidents", api_url: "{slack.url}"}}
"""


@asynccontextmanager
async def stack(
    folder: Path,
    *,
    kafka: KafkaServer | None = None,
    postgres: PostgresServer | None = None,
    quiet_period: str = "2s",
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """Embedded without `kafka` and `postgres`; with them three processes, separate environments, no shared folder."""
    async with SlackServer() as slack:
        config = folder / "tocsin.yaml"
        config.write_text(tocsin_yaml(slack, quiet_period))
        given = {"TOCSIN_CONFIG_FILE": str(config), "TOCSIN_SLACK_TOKEN": SLACK_TOKEN, **(environment or {})}
        targets: tuple[str, ...] = ("all",)
        if kafka is not None and postgres is not None:
            await forget_topics(kafka)
            given |= {"TOCSIN_KAFKA": kafka.address, "TOCSIN_DATABASE": postgres.create_database().replace("+asyncpg", "")}
            targets = THREE
        async with children(folder, targets, given) as (processes, client):
            yield Stack(processes, client, slack)


def alertmanager_yaml(*urls: str, repeat: str = "1h", interval: str = "1s", max_alerts: int = 0, more: str = "") -> str:
    """A configuration that sends everything at once to Tocsin, as `tocsin alertmanager-snippet` advises; `more` is appended."""
    webhooks = "".join(
        f"""
      - url: {url}
        send_resolved: true
        max_alerts: {max_alerts}
        http_config: {{authorization: {{credentials: {TOKEN}}}}}"""
        for url in urls
    )
    return f"""\
route:
  receiver: tocsin
  group_by: [alertname, service]
  group_wait: 100ms
  group_interval: {interval}
  repeat_interval: {repeat}
receivers:
  - name: tocsin
    webhook_configs:{webhooks}
{more}"""
