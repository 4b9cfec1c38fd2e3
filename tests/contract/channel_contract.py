"""What every channel keeps, whatever it leads to; `test_<name>_channel.py` inherits it and brings a `Place`.

The table of faults is the same for all: what follows from a reset connection or a 429 does not depend on who broke it.
"""

import asyncio
import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from schemas.vocabulary import Severity
from services.notifier.domain.content import Content, Fact, Link
from services.notifier.ports import Address, Channel, ChannelError, Trouble

PATIENCE = 0.5
"""Seconds a channel under test waits for an answer."""


@dataclass(frozen=True)
class Expected:
    """The fields of the `ChannelError` that a fault becomes; `left` tells whether the message stands there anyhow."""

    trouble: Trouble
    happened: bool | None
    left: bool
    retry_after: float | None = None


FAULTS = {
    "429(3)": Expected(Trouble.RATE_LIMITED, happened=False, left=False, retry_after=3),
    "500_before": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
    "500_after": Expected(Trouble.SERVER_ERROR, happened=None, left=True),
    "timeout_before": Expected(Trouble.TIMEOUT, happened=None, left=False),
    "timeout_after": Expected(Trouble.TIMEOUT, happened=None, left=True),
    "reset_before": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
    "reset_after": Expected(Trouble.SERVER_ERROR, happened=None, left=True),
    "garbage": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
    "html": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
    "huge": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
    "redirect": Expected(Trouble.SERVER_ERROR, happened=None, left=False),
}


class Place(ABC):
    """A channel under test (patience `PATIENCE`) and the stand-in it leads to."""

    channel: Channel
    destination: str
    secret: str

    @abstractmethod
    def spoil(self, fault: str) -> None:
        """Let the next call go wrong in one of the ways of `FAULTS`."""

    @abstractmethod
    def said(self) -> list[str]:
        """Everything that stands at the destination, replies too, oldest first, as raw text."""

    @abstractmethod
    async def called(self, times: int) -> None:
        """Return when so many calls have come in since the start."""

    @abstractmethod
    async def vanish(self) -> None:
        """Nobody listens at the destination's address any more."""


def a_content(headline: str = "Checkout is down", **changes: object) -> Content:
    """What an S1 looks like."""
    given = {
        "incident": "INC-42",
        "headline": headline,
        "severity": Severity.S1,
        "text": "Payments fail in eu-west.",
        "facts": (Fact(name="Services", value="web, api"),),
        "links": (Link(label="Runbook", url="https://runbooks.example/checkout"),),
        "at": datetime(2026, 11, 23, 3, 12, tzinfo=UTC),
    }
    return Content.model_validate({**given, **changes})


class ChannelContract:
    """Inherit and provide the fixture `place`, a `Place`."""

    async def post(self, place: Place, delivery: str, thread: Address | None = None, headline: str = "first") -> Address:
        return await place.channel.post(place.destination, a_content(headline), delivery=delivery, thread=thread)

    async def find(self, place: Place, delivery: str, thread: Address | None = None) -> Address | None:
        since = datetime.now(UTC) - timedelta(seconds=5)
        return await place.channel.find(place.destination, delivery=delivery, since=since, thread=thread)

    async def test_what_was_posted_is_edited_in_place_and_found(self, place: Place) -> None:
        address = await self.post(place, "d-1")
        assert ["first" in text for text in place.said()] == [True]
        edited = await place.channel.edit(address, a_content("second"), delivery="d-2")
        assert [("second" in text, "first" in text) for text in place.said()] == [(True, False)]
        assert address == edited
        assert address == await self.find(place, "d-2")

    async def test_editing_twice_is_the_same_as_once(self, place: Place) -> None:
        address = await self.post(place, "d-1")
        for _ in range(2):
            await place.channel.edit(address, a_content("second"), delivery="d-2")
        assert len(place.said()) == 1

    async def test_a_reply_is_found_and_edited_in_its_thread_only(self, place: Place) -> None:
        root = await self.post(place, "d-1")
        reply = await self.post(place, "d-2", root, "reply")
        assert reply == await self.find(place, "d-2", root)
        assert None is await self.find(place, "d-2")
        await place.channel.edit(reply, a_content("corrected"), delivery="d-3")
        assert ["first" in place.said()[0], "corrected" in place.said()[1]] == [True, True]

    async def test_what_was_never_sent_is_not_found(self, place: Place) -> None:
        await self.post(place, "d-1")
        assert None is await self.find(place, "d-2")

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_fault_tells_what_is_known_and_leaves_what_find_says(self, place: Place, fault: str) -> None:
        expected = FAULTS[fault]
        place.spoil(fault)
        with pytest.raises(ChannelError) as caught:
            await self.post(place, "d-1")
        error = caught.value
        seen = (error.trouble, error.happened, error.retry_after, error.retry)
        assert (expected.trouble, expected.happened, expected.retry_after, True) == seen
        assert expected.left == (await self.find(place, "d-1") is not None)
        assert expected.left == bool(place.said())

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_failed_search_never_claims_that_nothing_was_sent(self, place: Place, fault: str) -> None:
        address = await self.post(place, "d-1")
        place.spoil(fault)
        # A search changes nothing, so a client may repeat it by itself and need not fail.
        [found] = await asyncio.gather(self.find(place, "d-1"), return_exceptions=True)
        if isinstance(found, ChannelError):
            assert (found.happened, found.retry) == (None, True)
        else:
            assert found == address

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_no_error_shows_the_secret(self, place: Place, fault: str) -> None:
        place.spoil(fault)
        with pytest.raises(ChannelError) as caught:
            await self.post(place, "d-1")
        shown = [
            caught.value.reason,
            repr(caught.value),
            repr(place.channel),
            *traceback.format_exception(caught.value),
        ]
        assert place.secret not in " ".join(shown)
        assert caught.value.reason

    async def test_a_destination_that_does_not_listen_got_nothing(self, place: Place) -> None:
        await place.vanish()
        with pytest.raises(ChannelError) as caught:
            await self.post(place, "d-1")
        assert (caught.value.trouble, caught.value.happened, caught.value.retry) == (Trouble.SERVER_ERROR, False, True)

    async def test_a_call_is_cancelled_promptly_and_the_channel_still_works(self, place: Place) -> None:
        place.spoil("timeout_after")
        call = asyncio.create_task(self.post(place, "d-1"))
        await place.called(1)
        call.cancel()
        async with asyncio.timeout(PATIENCE / 2):
            await asyncio.wait([call])
        assert call.cancelled()
        assert await self.find(place, "d-1")

    async def test_a_closed_channel_opens_again_by_itself(self, place: Place) -> None:
        await self.post(place, "d-1")
        await place.channel.close()
        assert await self.find(place, "d-1")

    async def test_check_is_silent_when_all_is_well(self, place: Place) -> None:
        assert None is await place.channel.check(place.destination)

    async def test_check_says_in_words_that_nobody_listens(self, place: Place) -> None:
        await place.vanish()
        assert " " in (await place.channel.check(place.destination) or "")
