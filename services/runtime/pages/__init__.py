"""Pages without scripts, in which all text of others is text and nothing else. `base.css` is what they look alike by."""

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

_NOW = 5
"""Seconds during which something has just happened."""
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}) UTC")


def environment(templates: Path) -> Environment:
    """Where a page's templates are, beside what all pages share."""
    loader = FileSystemLoader([templates, Path(__file__).parent])
    made = Environment(loader=loader, autoescape=True, enable_async=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"ago": ago, "stamp": stamp, "times": times}
    made.tests |= {"web_link": web_link}
    return made


def headers(nonce: str) -> dict[str, str]:
    """Nothing is loaded, run, framed or sent; the one style sheet in the page has the nonce."""
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def web_link(url: str) -> bool:
    """Whether it may be clicked: http or https to a host, without a user or password that could hide where it leads."""
    try:
        parts = urlsplit(url.strip())
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def ago(at: datetime, now: datetime) -> str:
    """`12 min ago`; a moment that is still to come is `now`."""
    seconds = int((now - at).total_seconds())
    if seconds < _NOW:
        return "now"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def times(text: str) -> Markup:
    """The text, escaped, with moments like `2026-03-01 03:12 UTC` marked as what they are."""
    marked = _MOMENT.sub(r'<time datetime="\1T\2Z">\1 \2 UTC</time>', str(escape(text)))
    return Markup(marked)  # noqa: S704 (all of it was escaped before the marks were set)
