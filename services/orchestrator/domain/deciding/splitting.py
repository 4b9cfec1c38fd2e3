"""Splitting: some alerts of an incident turn out to be another trouble, which becomes an incident of its own."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.incidents import AlertCounts, Incident
from schemas.vocabulary import FiringState, Severity, worst
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import environment_of, one_line
from services.orchestrator.domain.deciding.linking import attach, examples, title
from services.orchestrator.domain.deciding.world import pin_key
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Because, Context, Refusal, decide
from services.orchestrator.domain.policy.severity import Found

ASSUMED = Severity.S3
"""The severity of an incident when that of none of its alerts is known."""


@dataclass(frozen=True)
class Wish:
    """What is to be split out (fingerprints, each once), and what the new incident is to be called and how bad it is, where
    that was said."""

    alerts: tuple[str, ...]
    title: str | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class New:
    """The incident that begins: what it is known by."""

    name: str
    uuid: str


@dataclass(frozen=True)
class Linked:
    """What is known of the incident's alerts. `named`: of each fingerprint of the wish its latest firing, where there is any.

    Of what stays: whether there are `others` than the named alerts, the `worst` severity (also of what is over), and the
    `keys` of what is not over. `holders`: which incident holds each key of the named ones.
    """

    named: Mapping[str, Firing]
    others: bool
    worst: Severity | None
    keys: frozenset[str]
    holders: Mapping[str, str]


@dataclass(frozen=True)
class Splitting:
    """What happens on both sides, the firings that move, and the keys that the new incident holds from now on."""

    source: list[Because]
    new: list[Because]
    moved: tuple[Firing, ...]
    keys: tuple[str, ...]


def split(source: Incident, wish: Wish, linked: Linked, new: New, context: Context) -> Splitting | Refusal:
    """Split the named alerts out of `source`; each stays pinned to the new incident while that is open."""
    moved = tuple(sorted((linked.named[name] for name in wish.alerts if name in linked.named), key=_number))
    leaves = decide(source, _taken_out(new, linked, moved), context)
    if isinstance(leaves, Refusal):
        return leaves
    wrong = _objection(source, wish, linked)
    if wrong is not None:
        return Refusal("illegal_transition", wrong)
    keys = _keys(source, linked, moved)
    begins = decide(None, _opened(source, wish, new, moved, keys), context)
    assert not isinstance(begins, Refusal), begins
    return Splitting(leaves, begins, moved, (*keys, *(pin_key(firing.fingerprint) for firing in moved)))


def _objection(source: Incident, wish: Wish, linked: Linked) -> str | None:
    if not wish.alerts:
        return f"Nothing to split out of {source.id}: name at least one alert."
    for fingerprint in wish.alerts:
        wrong = _cannot_leave(source, fingerprint, linked.named.get(fingerprint))
        if wrong is not None:
            return wrong
    if not linked.others:
        otherwise = f"If all of it is another trouble, declare that one and merge {source.id} into it."
        return f"At least one alert must stay with {source.id}. {otherwise}"
    return None


def _cannot_leave(source: Incident, fingerprint: str, firing: Firing | None) -> str | None:
    if firing is None or firing.incident != source.id:
        belongs = f"; it belongs to {firing.incident}" if firing is not None and firing.incident else ""
        return f"{fingerprint} is no alert of {source.id}{belongs}."
    if firing.ends_at is not None:
        return f"{fingerprint} ({one_line(firing.name, 100)}) is over; only alerts that are not over can be split out."
    return None


def _taken_out(new: New, linked: Linked, moved: tuple[Firing, ...]) -> ask.SplitOut:
    states = Counter(firing.state for firing in moved)
    counts = AlertCounts(
        firing=states[FiringState.FIRING],
        muted=states[FiringState.MUTED],
        stale=states[FiringState.STALE],
        gating=sum(firing.gating for firing in moved),
    )
    return ask.SplitOut(into=new.name, alerts=counts, severity=linked.worst, examples=examples(moved))


def _keys(source: Incident, linked: Linked, moved: tuple[Firing, ...]) -> tuple[str, ...]:
    """The keys of which nothing that is not over stays. The incident's own key stays its own."""
    held = (firing.key for firing in moved if linked.holders.get(firing.key) == source.id)
    return tuple(dict.fromkeys(key for key in held if key != source.correlation_key and key not in linked.keys))


def _opened(source: Incident, wish: Wish, new: New, moved: tuple[Firing, ...], keys: tuple[str, ...]) -> ask.Open:
    environments = {environment_of(firing.labels) or "" for firing in moved}
    return ask.Open(
        id=new.name,
        uuid=new.uuid,
        title=wish.title or title(moved[0]),
        severity=wish.severity or worst(firing.severity for firing in moved) or ASSUMED,
        environment=one_line(environments.pop(), 100) or None if len(environments) == 1 else None,
        correlation_key=keys[0] if keys else None,
        drill=source.drill,
        first=attach([(firing, Found(firing.severity)) for firing in moved], floor=False),
        split_from=source.id,
    )


def _number(firing: Firing) -> int:
    assert firing.decision is not None
    return firing.decision.seq
