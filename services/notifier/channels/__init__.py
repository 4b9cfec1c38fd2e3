"""The table of channels: one line each, with its limits, its destinations and how it is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.config import Config, ConfigFile
from services.notifier.channels.board import BoardChannel
from services.notifier.channels.token import NoToken, slack_token
from services.notifier.domain.delivery import Destination
from services.notifier.metrics import NotifierMetrics
from services.notifier.ports import Board, Channel, Limits
from services.runtime.clock import Clock

log = structlog.get_logger(__name__)

LOOK_AGAIN = timedelta(seconds=3)
"""How often a token that is missing is looked for."""
RETIRED = timedelta(minutes=1)
"""For so long a channel that was replaced may still be in use: much longer than a try takes."""


@dataclass(frozen=True)
class Means:
    """What channels are built from."""

    board: Board
    base_url: str
    slack_token: str | None


@dataclass(frozen=True)
class Spec:
    """A channel. It has no `places` when the configuration does not ask for it. `build` raises `NoToken`."""

    name: str
    limits: Limits | None
    places: Callable[[Config], tuple[str, ...]]
    build: Callable[[Config, Means], Channel]


def _slack(config: Config, means: Means) -> Channel:
    assert config.slack is not None
    token = slack_token(config.slack, means.slack_token)
    from services.notifier.channels.slack import SlackChannel  # noqa: PLC0415  its client is slow to import, and often not needed

    return SlackChannel(token, config.slack.api_url)


CHANNELS: tuple[Spec, ...] = (
    Spec("slack", Limits(), lambda config: (config.slack.channel,) if config.slack else (), _slack),
    Spec("board", None, lambda _: ("board",), lambda _, means: BoardChannel(means.board, means.base_url)),
)
"""In the order in which they are served: who has to be called first comes first."""

LIMITS = {spec.name: spec.limits for spec in CHANNELS}


class Directory:
    """The channels of the configuration in force; built anew after each reload.

    One that is configured and cannot be built keeps its destinations, so that what is planned for it waits for it; when
    it could be built before, the older one goes on meanwhile.
    """

    def __init__(self, config: ConfigFile, means: Means, clock: Clock, metrics: NotifierMetrics) -> None:
        self._file, self._means, self._clock, self._metrics = config, means, clock, metrics
        self._built_for: Config | None = None
        self._channels: dict[str, Channel] = {}
        self._troubles: dict[str, str] = {}
        self._destinations: tuple[Destination, ...] = ()
        self._retired: list[tuple[datetime, Channel]] = []
        self._look_at = clock.now()
        self._refresh()

    def destinations(self) -> Sequence[Destination]:
        self._refresh()
        return self._destinations

    def get(self, name: str) -> Channel | str | None:
        self._refresh()
        return self._channels.get(name) or self._troubles.get(name)

    async def tend(self) -> None:
        """Follow the configuration though there is nothing to send, and close what was replaced some time ago."""
        self._refresh()
        old = [channel for since, channel in self._retired if since + RETIRED <= self._clock.now()]
        self._retired = [(since, channel) for since, channel in self._retired if channel not in old]
        for channel in old:
            await channel.close()

    async def close(self) -> None:
        for channel in (*(channel for _, channel in self._retired), *self._channels.values()):
            await channel.close()

    def _refresh(self) -> None:
        config, now = self._file.config, self._clock.now()
        if config is not self._built_for:
            self._built_for, wanted = config, CHANNELS
            self._destinations = tuple(Destination(spec.name, place) for spec in CHANNELS for place in spec.places(config))
        elif self._troubles and now >= self._look_at:
            wanted = tuple(spec for spec in CHANNELS if spec.name in self._troubles)
        else:
            return
        self._look_at = now + LOOK_AGAIN
        for spec in wanted:
            self._build(spec, config, now)

    def _build(self, spec: Spec, config: Config, now: datetime) -> None:
        if not spec.places(config):
            self._replace(spec.name, None, now)
            self._metrics.channel_ready(spec.name, None)
            return
        try:
            self._replace(spec.name, spec.build(config, self._means), now)
        except NoToken as error:
            if self._troubles.get(spec.name) != str(error):
                log.warning(
                    "channel_not_ready", channel=spec.name, reason=str(error), older_one_goes_on=spec.name in self._channels
                )
            self._troubles[spec.name] = str(error)
        self._metrics.channel_ready(spec.name, spec.name in self._channels)

    def _replace(self, name: str, channel: Channel | None, now: datetime) -> None:
        """What is replaced may be in use at this moment; it is closed later."""
        older = self._channels.pop(name, None)
        if older is not None:
            self._retired.append((now, older))
        if channel is not None:
            self._channels[name] = channel
        self._troubles.pop(name, None)
