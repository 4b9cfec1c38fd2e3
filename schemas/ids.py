"""Identifiers: their types and how they are made and read."""

import hashlib
import re
from typing import NewType

IncidentId = NewType("IncidentId", str)
"""`INC-42`: short enough to be said on the phone."""

Fingerprint = NewType("Fingerprint", str)
"""Identity of an alert's label set, as Alertmanager computes it: 16 hexadecimal digits."""

_INCIDENT = re.compile(r"INC-([1-9][0-9]{0,11})", re.IGNORECASE)


def incident_id(number: int) -> IncidentId:
    return IncidentId(f"INC-{number}")


def incident_number(text: str) -> int | None:
    """The number in `INC-42` (any case); None when the text is no incident id."""
    match = _INCIDENT.fullmatch(text.strip())
    return int(match[1]) if match else None


def digest(*parts: str) -> str:
    """A stable id made of its parts: the same parts give the same id in every process and every release."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


_FNV_OFFSET, _FNV_PRIME, _MASK = 14695981039346656037, 1099511628211, (1 << 64) - 1


def fingerprint_of(labels: dict[str, str]) -> Fingerprint:
    """The label set's fingerprint by Prometheus' algorithm (FNV-1a over sorted pairs, 0xFF between the parts).

    Needed for senders that leave `fingerprint` out; equals what Alertmanager would have sent.
    """
    value = _FNV_OFFSET
    for name in sorted(labels):
        for part in (name, labels[name]):
            for byte in part.encode("utf-8", "surrogatepass") + b"\xff":
                value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return Fingerprint(f"{value:016x}")
