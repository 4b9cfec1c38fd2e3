"""Slack: one living summary per incident, edited in place, and replies in its thread."""

from services.notifier.channels.slack.channel import SlackChannel

__all__ = ["SlackChannel"]
