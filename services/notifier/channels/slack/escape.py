"""Untrusted text made harmless for Slack.

Slack asks to escape only `&`, `<` and `>` (docs.slack.dev, "Formatting message text"); that disarms `<!channel>`,
`<@U…>`, `<#C…>` and links. A bare `@channel` is disarmed too, in case a workspace or a client still links names. `*`,
`_`, `~`, a backtick and `:emoji:` cannot be escaped in mrkdwn; they can only change how text looks.
"""

import re
from urllib.parse import quote

_ZERO_WIDTH = "\u200b"
_CROWD = re.compile(r"@(?=channel|here|everyone)", re.IGNORECASE)
_CONTROL = re.compile(r"<(?=[!@#]|https?:|mailto:|tel:|slack:)", re.IGNORECASE)
# Control characters, overrides of the writing direction (they make text lie), and halves of surrogate pairs.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# `@` is encoded, and a host may hold nothing encoded: so no user in front of it can make a link seem to lead elsewhere.
_WEB = re.compile(r"https?://[^/?#%]+([/?#].*)?", re.IGNORECASE)
_URL_SAFE = ":/?#[]!$&'()*+,;=%"
URL_LIMIT = 2000


def plain(text: str) -> str:
    """For `plain_text` objects. Slack interprets nothing there; what is active elsewhere is broken all the same."""
    visible = _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))
    return _CONTROL.sub("<" + _ZERO_WIDTH, _CROWD.sub("@" + _ZERO_WIDTH, visible))


def mrkdwn(text: str) -> str:
    """For `mrkdwn` objects and the fallback text."""
    return plain(text).translate(_ENTITIES)


def one_line(text: str) -> str:
    """The words with single spaces between, since a line break ends a header, a bold run or a link's label."""
    return " ".join(text.split())


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units (Slack's clients count so; an emoji has two), with `…` for what is missing.

    For text that went through `mrkdwn`, where every `&` begins an entity: none is cut in the middle.
    """
    units = text.encode("utf-16-le")
    if len(units) <= 2 * limit:
        return text
    kept = units[: 2 * (limit - 1)].decode("utf-16-le", "ignore")
    last = kept.rfind("&", -4)
    return (kept[:last] if last >= 0 and ";" not in kept[last:] else kept) + "…"


def link(label: str, url: str, limit: int = 75) -> str:
    """`<url|label>` for a web address, else both as text. `limit` bounds the label and is counted as in `cut`."""
    words = cut(mrkdwn(one_line(label).replace("|", "¦")), limit)
    address = quote(url.strip(), safe=_URL_SAFE, errors="replace")
    if len(address) <= URL_LIMIT and _WEB.fullmatch(address):
        return f"<{address.replace('&', '&amp;')}|{words or 'link'}>"
    return f"{words}: {cut(mrkdwn(one_line(url)), 200)}"
