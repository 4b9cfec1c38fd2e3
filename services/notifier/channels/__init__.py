"""The table of channels: one line each, with its limits, its destinations and how it is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.config import Config, ConfigFile, SlackSection
from services.notifier.channels.board import BoardChannel
from services.notifier.domain.delivery import Destination
from services.notifier.ports import Board, Channel, Limits

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Means:
    """What channels are built from."""

    board: Board
    base_url: str
    slack_token: str | None


@dataclass(frozen=True)
class Spec:
    """A channel. `build` gives None when the configuration does not ask for it."""

    name: str
    limits: Limits | None
    build: Callable[[Config, Means], tuple[Channel, tuple[str, ...]] | None]


def _board(_config: Config, means: Means) -> tuple[Channel, tuple[str, ...]]:
    return BoardChannel(means.board, means.base_url), ("board",)


def _slack(config: Config, means: Means) -> tuple[Channel, tuple[str, ...]] | None:
    section = config.slack
    token = _slack_token(section, means) if section else None
    if section is None or token is None:
        return None
    from services.notifier.channels.slack import SlackChannel  # noqa: PLC0415  its client is slow to import, and often not needed

    return SlackChannel(token, section.api_url), (section.channel,)


def _slack_token(section: SlackSection, means: Means) -> str | None:
    token = means.slack_token or (_first_line(section.token_file) if section.token_file else None)
    if not token:
        log.warning("slack_without_token", reason="put a bot token into slack.token_file or TOCSIN_SLACK_TOKEN")
    return token


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().partition("\n")[0].strip() or None
    except (OSError, UnicodeDecodeError) as error:
        log.warning("token_file_unreadable", path=str(path), error=type(error).__name__)
        return None


CHANNELS: tuple[Spec, ...] = (
    Spec("slack", Limits(), _slack),
    Spec("board", None, _board),
)
"""In the order in which they are served: who has to be called first comes first."""

LIMITS = {spec.name: spec.limits for spec in CHANNELS}


class Directory:
    """The channels of the configuration in force; built anew after each reload."""

    def __init__(self, config: ConfigFile, means: Means) -> None:
        self._file, self._means = config, means
        self._built_for: Config | None = None
        self._channels: dict[str, Channel] = {}
        self._destinations: tuple[Destination, ...] = ()
        self._retired: list[Channel] = []

    def destinations(self) -> Sequence[Destination]:
        self._refresh()
        return self._destinations

    async def get(self, name: str) -> Channel | None:
        self._refresh()
        return self._channels.get(name)

    async def close(self) -> None:
        for channel in (*self._retired, *self._channels.values()):
            await channel.close()

    def _refresh(self) -> None:
        config = self._file.config
        if config is self._built_for:
            return
        # What is replaced may be in use at this moment; it is closed at the end.
        self._retired += self._channels.values()
        built = {spec.name: made for spec in CHANNELS if (made := spec.build(config, self._means))}
        self._channels = {name: channel for name, (channel, _) in built.items()}
        self._destinations = tuple(Destination(name, where) for name, (_, places) in built.items() for where in places)
        self._built_for = config
