"""What a message looks like: Block Kit blocks, and the text that notifications and screen readers use.

Slack's limits are those of slack_sdk's models (header 150, section 3000, 10 fields of 2000, 50 blocks); all blocks
together are refused from about 13,200 characters on (slackapi/bolt-js#2509), so ours stay within 12,000 characters of
JSON. Sizes below are in UTF-16 units and tight enough that some of the text always fits.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from schemas.vocabulary import Severity
from services.notifier.channels.slack.escape import cut, link, mrkdwn, one_line, plain
from services.notifier.domain.content import Content, Fact, Link

Block = dict[str, Any]

TOTAL, HEADER, SECTION, FALLBACK = 12_000, 150, 3000, 1000
FACTS, NAME, VALUE, LINKS = 10, 60, 180, 2500
# The characters themselves, not `:names:`: so emoji can stay off, and a title cannot bring its own.
_SIGNS = {Severity.S1: "🔴", Severity.S2: "🟠", Severity.S3: "🟡", Severity.S4: "🔵", None: "⚪"}
_MOODS = {"calm": "🟢", "over": "✅"}


def summary(content: Content) -> list[Block]:
    """The living message of an incident: how bad and what, the words, the facts, where to look, as of when."""
    header: Block = {"type": "header", "text": _plain(_title(content), HEADER)}
    return _around([header], content.text, [*_facts(content.facts), *_links(content.links), _foot(content.at)])


def reply(content: Content) -> list[Block]:
    """A message in the thread, whose summary says the rest."""
    headline = cut(mrkdwn(one_line(content.headline)), HEADER) or "–"
    return _around([_section(f"*{headline}*")], content.text, [*_facts(content.facts), *_links(content.links)])


def fallback(content: Content) -> str:
    """What a notification shows; never empty."""
    return cut(mrkdwn(f"{_title(content)}\n{content.text}".strip()), FALLBACK)


def _title(content: Content) -> str:
    sign = _MOODS.get(content.mood, _SIGNS[content.severity])
    known = [content.severity, one_line(content.incident), one_line(content.headline)]
    return f"{sign} " + " · ".join(part for part in known if part)


def _around(head: list[Block], text: str, tail: list[Block]) -> list[Block]:
    """Head and tail with as much of the text between as the whole may carry; JSON at most doubles a character."""
    room = (TOTAL - len(json.dumps(head + tail, ensure_ascii=False))) // 2 - 50
    words = text.strip()
    body: list[Block] = [{"type": "section", "text": _plain(words, min(SECTION, room))}] if words else []
    return head + body + tail


def _facts(facts: Sequence[Fact]) -> list[Block]:
    fields = [_mrkdwn(_fact(fact)) for fact in facts[:FACTS]]
    return [{"type": "section", "fields": fields}] if fields else []


def _fact(fact: Fact) -> str:
    name, value = mrkdwn(one_line(fact.name)), mrkdwn(fact.value.strip())
    return f"*{cut(name or '–', NAME)}*\n{cut(value or '–', VALUE)}"


def _links(links: Sequence[Link]) -> list[Block]:
    """One row; a link that no longer fits is left out whole, since half a link leads nowhere."""
    row = ""
    for each in links:
        longer = f"{row} · {link(each.label, each.url)}" if row else link(each.label, each.url)
        if cut(longer, LINKS) == longer:
            row = longer
    return [_section(row)] if row else []


def _foot(at: datetime) -> Block:
    """When this was true, in the reader's own time zone (docs.slack.dev, "Date formatting")."""
    moment = f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{at:%Y-%m-%d %H:%M} UTC>"
    return {"type": "context", "elements": [_mrkdwn(f"As of {moment}")]}


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": cut(plain(text), limit), "emoji": False}


def _mrkdwn(text: str) -> Block:
    """`verbatim` keeps Slack from making links and mentions out of bare addresses and names."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
