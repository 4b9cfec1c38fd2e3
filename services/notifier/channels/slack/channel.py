"""Slack as a `Channel`. A destination is a channel's id (`C…`) or its name, with or without `#`."""

import re
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from services.notifier.channels.slack import blocks
from services.notifier.channels.slack.client import Client, Page
from services.notifier.domain.content import Content
from services.notifier.ports import Address, Channel, ChannelError, NotAllowed, Trouble

EVENT = "tocsin_delivery"
"""The `event_type` of our messages' metadata; the payload's `id` is the delivery."""
CLOCK_SKEW = timedelta(seconds=60)
PAGE = 15
"""Messages per page of history: Slack allows no more to some kinds of apps (its change of 2025-05-29)."""
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]+")
"""Names are always in lower case."""


class _Posted(BaseModel):
    channel: str
    ts: str


class _Message(BaseModel):
    ts: str
    metadata: Any = None

    def carries(self, delivery: str) -> bool:
        """Any app may attach metadata of any shape; that must not spoil the search."""
        match self.metadata:
            case {"event_type": kind, "event_payload": {"id": found}}:
                return bool(kind == EVENT and found == delivery)
        return False


class _Messages(Page):
    messages: list[_Message]

    def ts_of(self, delivery: str) -> str | None:
        return next((message.ts for message in self.messages if message.carries(delivery)), None)


class _Room(BaseModel):
    id: str
    name: str = ""
    is_member: bool = False
    is_archived: bool = False


class _Rooms(Page):
    channels: list[_Room]

    def id_of(self, name: str) -> str | None:
        return next((room.id for room in self.channels if room.name == name), None)


class _RoomInfo(BaseModel):
    channel: _Room


class _Identity(BaseModel):
    user_id: str


class SlackChannel(Channel):
    """Posts, edits and finds messages. `timeout` is in seconds per call; connecting may take half of it."""

    name = "slack"

    def __init__(self, token: str, base_url: str = "https://slack.com/api/", timeout: float = 10.0) -> None:
        self._client = Client(token, base_url, timeout)
        self._ids: dict[str, str] = {}

    async def post(self, destination: str, content: Content, *, delivery: str, thread: Address | None) -> Address:
        where = thread.parts["channel"] if thread else destination
        root = thread.parts["ts"] if thread else None
        posted = await self._client.ask(
            _Posted,
            "chat_postMessage",
            channel=where,
            thread_ts=root,
            unfurl_links=False,
            unfurl_media=False,
            **_message(content, delivery, root),
        )
        self._ids[where] = posted.channel
        return _address(posted.channel, posted.ts, root)

    async def edit(self, address: Address, content: Content, *, delivery: str) -> Address:
        """Raises `Gone` when the message was deleted or Slack no longer lets it be edited."""
        parts = address.parts
        message = _message(content, delivery, parts.get("thread"))
        await self._client.ask(_Posted, "chat_update", channel=parts["channel"], ts=parts["ts"], **message)
        return address

    async def find(self, destination: str, *, delivery: str, since: datetime, thread: Address | None) -> Address | None:
        """Needs the scopes channels:history (groups:history), and channels:read (groups:read) for a channel's name."""
        try:
            return await self._search(destination, delivery, since, thread)
        except ChannelError as error:
            # The failure of a search says nothing about the message it looked for.
            error.happened = None
            raise

    async def check(self, destination: str) -> str | None:
        try:
            await self._client.ask(_Identity, "auth_test")
            room_id = await self._room_id(destination)
            room = (await self._client.ask(_RoomInfo, "conversations_info", channel=room_id)).channel
        except ChannelError as error:
            return error.reason
        if room.is_archived:
            return f"Slack channel {destination} is archived; unarchive it or choose another"
        return None if room.is_member else f"the app is not in {destination}; type /invite and the app's name there"

    async def close(self) -> None:
        await self._client.close()

    async def _search(self, destination: str, delivery: str, since: datetime, thread: Address | None) -> Address | None:
        room = thread.parts["channel"] if thread else await self._room_id(destination)
        root = thread.parts["ts"] if thread else None
        method, where = ("conversations_replies", {"ts": root}) if root else ("conversations_history", {})
        oldest = f"{(since - CLOCK_SKEW).timestamp():.6f}"
        ts = await self._client.first(
            _Messages,
            method,
            lambda page: page.ts_of(delivery),
            **where,
            channel=room,
            oldest=oldest,
            include_all_metadata=True,
            limit=PAGE,
        )
        return _address(room, ts, root) if ts else None

    async def _room_id(self, destination: str) -> str:
        """All methods but chat.postMessage want the id. Raises `ChannelError` when no channel has this name."""
        if _CHANNEL_ID.fullmatch(destination):
            return destination
        if destination not in self._ids:
            self._ids[destination] = await self._look_up(destination.removeprefix("#"))
        return self._ids[destination]

    async def _look_up(self, name: str) -> str:
        kinds = "public_channel,private_channel"
        found = await self._client.first(_Rooms, "conversations_list", lambda page: page.id_of(name), types=kinds, limit=200)
        if found is None:
            reason = f"Slack has no channel #{name} that the app can see; correct the name or invite the app"
            raise NotAllowed(Trouble.CLIENT_ERROR, reason)
        return found


def _message(content: Content, delivery: str, root: str | None) -> dict[str, Any]:
    """What post and edit have in common. A message in a thread looks lighter than the summary above it."""
    return {
        "text": blocks.fallback(content),
        "blocks": blocks.reply(content) if root else blocks.summary(content),
        "metadata": {"event_type": EVENT, "event_payload": {"id": delivery}},
        "parse": "none",
        "link_names": False,
    }


def _address(room: str, ts: str, root: str | None) -> Address:
    return Address({"channel": room, "ts": ts, **({"thread": root} if root else {})})
