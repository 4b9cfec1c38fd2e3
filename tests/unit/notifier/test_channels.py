"""The channels of the configuration in force, whatever becomes of Slack's token."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.config import Config, ConfigFile, SlackSection
from services.notifier.channels import CHANNELS, Directory, Means
from services.notifier.channels.slack import SlackChannel
from services.notifier.channels.token import NoToken, slack_token
from services.notifier.metrics import NotifierMetrics
from services.runtime.clock import ManualClock
from tests.unit.notifier.events import START


class Place:
    """A directory with a token file, and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.token, self.clock, self.registry = folder / "token", ManualClock(START), CollectorRegistry()
        self.file = ConfigFile(None, self.config(), "")
        metrics = NotifierMetrics(self.registry, (spec.name for spec in CHANNELS))
        board: Any = None
        self.directory = Directory(self.file, Means(board, "http://x", None), self.clock, metrics)

    def config(self) -> Config:
        return Config(slack=SlackSection(token_file=self.token))

    @property
    def ready(self) -> float | None:
        return self.registry.get_sample_value("tocsin_channel_ready", {"channel": "slack"})

    def advance(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_slack_without_a_token_keeps_its_destination_and_says_what_is_missing(place: Place) -> None:
    assert [each.channel for each in place.directory.destinations()] == ["slack", "board"]
    assert "no bot token" in str(place.directory.get("slack"))
    assert place.ready == 0


def test_a_token_that_comes_later_is_seen_within_seconds(place: Place) -> None:
    place.token.write_text("xoxb-1\nsecond line")
    place.advance(2)
    assert isinstance(place.directory.get("slack"), str)
    place.advance(1)
    assert isinstance(place.directory.get("slack"), SlackChannel)
    assert place.ready == 1


@pytest.mark.parametrize("content", ["", "\nxoxb-2", None])
def test_a_token_that_is_lost_at_a_reload_leaves_the_older_channel(place: Place, content: str | None) -> None:
    place.token.write_text("xoxb-1")
    place.advance(3)
    before = place.directory.get("slack")
    place.token.unlink() if content is None else place.token.write_text(content)
    place.file.config = place.config()
    assert place.directory.get("slack") is before
    assert place.ready == 1
    place.token.write_text("xoxb-3")
    place.advance(3)
    after = place.directory.get("slack")
    assert isinstance(after, SlackChannel)
    assert after is not before


def test_a_channel_that_is_taken_out_of_the_configuration_is_gone(place: Place) -> None:
    place.file.config = Config()
    assert place.directory.get("slack") is None
    assert [each.channel for each in place.directory.destinations()] == ["board"]
    assert place.ready is None


async def test_what_was_replaced_is_closed_after_a_while(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = list[object]()

    async def close(self: SlackChannel) -> None:
        closed.append(self)

    monkeypatch.setattr(SlackChannel, "close", close)
    place.token.write_text("xoxb-1")
    place.advance(3)
    first = place.directory.get("slack")
    for _ in range(3):
        place.file.config = place.config()
        await place.directory.tend()
    assert closed == []
    place.advance(60)
    await place.directory.tend()
    assert closed[0] is first
    assert (len(closed), place.directory._retired) == (3, [])


def test_the_token_is_the_first_line_or_that_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  xoxb-1 \nsecond")
    section = SlackSection(token_file=file)
    assert (slack_token(section, None), slack_token(section, "xoxb-2")) == ("xoxb-1", "xoxb-2")
    file.write_bytes(b"\xff\xfe")
    for broken in (section, SlackSection(), SlackSection(token_file=tmp_path)):
        with pytest.raises(NoToken, match="no bot token"):
            slack_token(broken, None)
