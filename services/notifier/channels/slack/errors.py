"""What Slack's refusals mean: was the message sent, can trying again help, what should a person mend.

Slack answers 200 with `{"ok": false, "error": word}` for everything but 429 and its own breakdowns (docs.slack.dev,
"Using the Slack Web API"). An unknown word is a refusal too, so nothing was sent; it is tried again because most words
name something a person or Slack can mend. A message that Slack will never show is not tried again.
"""

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from services.notifier.ports import ChannelError, Gone, NotAllowed, Trouble

LONGEST_WAIT = 3600.0
"""Seconds; a Retry-After beyond this is not believed."""

_MEND = "put a valid bot token (xoxb-…) into slack.token_file"
_AUTH = {
    "invalid_auth": f"Slack refuses the token; {_MEND}",
    "not_authed": f"Slack saw no token; {_MEND}",
    "token_revoked": f"the token was revoked; reinstall the app and {_MEND}",
    "token_expired": f"the token has expired; {_MEND}",
    "account_inactive": f"the app was removed from the workspace; install it again and {_MEND}",
    "not_allowed_token_type": f"this kind of token may not do that; {_MEND}",
    "missing_scope": "the app lacks a scope; add those of deploy/slack/manifest.yaml and reinstall it",
    "no_permission": "the app lacks a permission; add the scopes of deploy/slack/manifest.yaml and reinstall it",
    "access_denied": "the workspace denies access; ask its admins to approve the app",
}
_MENDABLE = {
    "channel_not_found": "Slack knows no such channel; correct its name or invite the app if it is private",
    "not_in_channel": "the app is not in the channel; type /invite and the app's name there",
    "is_archived": "the channel is archived; unarchive it or choose another",
    "restricted_action": "the workspace does not let the app post there; ask its admins",
}
_GONE = {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_not_found",
    "cannot_reply_to_message",
}
_BROKEN = {
    *("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_arguments"),
    *(
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "invalid_arg_name",
        "invalid_array_arg",
    ),
    *(
        "invalid_charset",
        "invalid_form_data",
        "invalid_json",
        "json_not_object",
        "invalid_post_type",
        "missing_post_type",
    ),
}
_NOT_ALLOWED = {
    *("missing_scope", "no_permission", "access_denied", "not_allowed_token_type"),
    *("channel_not_found", "not_in_channel", "method_not_supported_for_channel_type"),
}
"""What holds for the method or the channel, not for the token as a whole."""
_UNSURE = {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_LIMITED = {"ratelimited", "rate_limited"}


def translate(error: Exception) -> ChannelError:
    """What went wrong with a call, without any word of the request (it carries the token) or of the answer's text."""
    kind = type(error).__name__
    match error:
        case SlackApiError():
            return _refused(error.response)
        case aiohttp.ConnectionTimeoutError():
            return _trouble(Trouble.TIMEOUT, "Slack cannot be reached in time; check network and proxy", happened=False)
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return _trouble(
                Trouble.SERVER_ERROR,
                f"Slack cannot be reached ({kind}); check network and slack.api_url",
                happened=False,
            )
        case TimeoutError():
            return _trouble(Trouble.TIMEOUT, "Slack did not answer in time")
        case _:
            return _trouble(Trouble.SERVER_ERROR, f"Slack's answer was lost or unreadable ({kind})")


def _refused(response: Any) -> ChannelError:
    """From slack_sdk's response, or from aiohttp's own when the body was no JSON."""
    status: int = getattr(response, "status_code", None) or response.status
    if status == 429:
        return _limited(response.headers)
    if status >= 500:
        return _trouble(Trouble.SERVER_ERROR, f"Slack answered {status}")
    if status >= 400:
        return _trouble(
            Trouble.CLIENT_ERROR, f"HTTP {status} instead of an answer; check slack.api_url and proxy", happened=False
        )
    data = getattr(response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    # Only a word of Slack's vocabulary is repeated: a stranger's answer could echo anything.
    if isinstance(word, str) and re.fullmatch(r"[a-z_]{1,60}", word):
        return _limited(response.headers) if word in _LIMITED else _said(word)
    return _trouble(Trouble.SERVER_ERROR, "Slack's answer makes no sense; check slack.api_url and proxy")


def _said(word: str) -> ChannelError:
    trouble = Trouble.AUTH_ERROR if word in _AUTH else Trouble.CLIENT_ERROR
    reason = f"{word}: {_AUTH.get(word) or _MENDABLE.get(word, 'Slack refuses')}"
    if word in _NOT_ALLOWED:
        return NotAllowed(trouble, reason)
    if word in _UNSURE:
        return _trouble(Trouble.SERVER_ERROR, f"{word}: Slack broke down")
    if word in _GONE:
        return Gone(f"{word}: the message can no longer be edited or answered")
    if word in _BROKEN:
        return ChannelError(Trouble.CLIENT_ERROR, f"{word}: Slack cannot show this message", retry=False)
    return _trouble(trouble, reason, happened=False)


def _limited(headers: Mapping[str, str]) -> ChannelError:
    """Retry-After is in whole seconds; None when Slack gives none that makes sense."""
    asked = headers.get("Retry-After", "")
    wait = min(float(asked), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", asked) else None
    return ChannelError(Trouble.RATE_LIMITED, "Slack asks to slow down", retry=True, retry_after=wait)


def _trouble(trouble: Trouble, reason: str, happened: bool | None = None) -> ChannelError:
    return ChannelError(trouble, reason, retry=True, happened=happened)
