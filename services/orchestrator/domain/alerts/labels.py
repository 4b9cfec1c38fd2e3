"""What is read from an alert's labels: the key by which alerts belong together, the service, the environment."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from schemas.ids import digest

MAX_KEY = 1000
"""Bytes; PostgreSQL indexes at most 2,704."""

_FALLBACKS = {"service": ("service", "job", "alertname"), "env": ("env", "environment", "cluster")}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str, limit: int) -> str:
    """The text without control characters, at most `limit` characters long (a cut is marked by `…`)."""
    plain = text.strip() if text.isprintable() else _CONTROL.sub(" ", text).strip()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def correlation_key(by: tuple[str, ...], labels: Mapping[str, str]) -> str:
    """`service=web,env=gprd`: alerts with equal keys belong together. A missing label counts as empty.

    Values that could be mistaken for two are quoted; a key too long for an index is cut and ends with its digest.
    """
    return _key(by, tuple([label_or_fallback(labels, name) or "" for name in by]))


@lru_cache(maxsize=4096)
def _key(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    key = ",".join(f"{name}={_quoted(value)}" for name, value in zip(names, values, strict=True))
    return key if len(key.encode()) <= MAX_KEY else f"{key.encode()[: MAX_KEY // 2].decode(errors='ignore')}…{digest(key)}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ',="') else value


def label_or_fallback(labels: Mapping[str, str], name: str) -> str | None:
    """The label, or the one that stands in for it (`service`: job, alertname; `env`: environment, cluster)."""
    for key in _FALLBACKS.get(name, (name,)):
        if value := labels.get(key):
            return value
    return None


def service_of(labels: Mapping[str, str]) -> str | None:
    return label_or_fallback(labels, "service")


def environment_of(labels: Mapping[str, str]) -> str | None:
    return label_or_fallback(labels, "env")
