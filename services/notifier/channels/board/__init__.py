"""The message board: works for real where there is no Slack."""

from services.notifier.channels.board.channel import BoardChannel

__all__ = ["BoardChannel"]
