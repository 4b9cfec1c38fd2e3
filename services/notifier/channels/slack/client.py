"""Calls to Slack's Web API, each bounded in time and size, and each failure a `ChannelError`."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from services.notifier.channels.slack.errors import translate
from services.notifier.ports import ChannelError, Trouble

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes, after decompression; a page of 200 channels has about 300 kB."""
MOST_PAGES = 50

Model = TypeVar("Model", bound=BaseModel)
Method = Callable[..., Awaitable[AsyncSlackResponse]]


class _Cursor(BaseModel):
    next_cursor: str | None = None


class Page(BaseModel):
    """A part of a list; the last one has no cursor."""

    response_metadata: _Cursor | None = None

    @property
    def cursor(self) -> str | None:
        return self.response_metadata.next_cursor if self.response_metadata else None


PageModel = TypeVar("PageModel", bound=Page)


class _BoundedAnswer(aiohttp.ClientResponse):
    """An answer that refuses to grow: whoever answers in Slack's place cannot exhaust our memory."""

    async def read(self) -> bytes:
        if self._body is None:
            body = bytearray()
            async for piece in self.content.iter_any():
                body += piece
                if len(body) > LARGEST_ANSWER:
                    self.close()
                    raise aiohttp.ClientPayloadError("the answer is too large")
            self._body = bytes(body)
        return self._body


async def _stay(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """No redirects: a message and its token go where the configuration says."""
    answer = await handler(request)
    if 300 <= answer.status < 400:
        answer.close()
        raise aiohttp.ClientError("redirected")
    return answer


class Client:
    """slack_sdk's client with its own retries off: it would send a message twice after a reset connection."""

    def __init__(self, token: str, base_url: str, timeout: float) -> None:
        self._timeout = timeout
        self._sdk = AsyncWebClient(token, base_url, retry_handlers=[])

    async def ask(self, model: type[Model], method: str, **arguments: Any) -> Model:
        """Call e.g. `chat_postMessage`, validate what comes. Raises `ChannelError`."""
        call: Method = getattr(self._connected(), method)
        try:
            answer = await call(**arguments)
            return model.model_validate(answer.data)
        except (SlackClientError, aiohttp.ClientError, OSError, ValueError, AttributeError, RecursionError) as error:
            # slack_sdk raises AttributeError for JSON that is no object, RecursionError when that is deeply nested.
            # Not chained: aiohttp's errors hold the request with the token, and a log of the cause would show it.
            raise translate(error) from None

    async def first(
        self, model: type[PageModel], method: str, pick: Callable[[PageModel], str | None], **arguments: Any
    ) -> str | None:
        """What `pick` finds first on a list's pages, else None. Raises `ChannelError`, also for an endless list."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self.ask(model, method, cursor=cursor, **arguments)
            found, cursor = pick(page), page.cursor
            if found or not cursor:
                return found
        raise ChannelError(Trouble.SERVER_ERROR, "Slack's list does not end", retry=True)

    async def close(self) -> None:
        """Give connections back; a later call opens new ones."""
        session, self._sdk.session = self._sdk.session, None
        if session is not None:
            await session.close()

    def _connected(self) -> AsyncWebClient:
        """The client with one session for all calls, made on the first since a session belongs to a running loop."""
        if self._sdk.session is None:
            # The shorter time for connecting tells "surely not sent" from "perhaps sent".
            limits = aiohttp.ClientTimeout(total=self._timeout, connect=self._timeout / 2)
            self._sdk.session = aiohttp.ClientSession(
                timeout=limits, response_class=_BoundedAnswer, middlewares=(_stay,), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sdk
