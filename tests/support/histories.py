"""Random policies and random histories for property tests: few alerts that meet often, under rules that meet too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from schemas.alerts import AlertReceived
from schemas.vocabulary import Action, Severity
from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import (
    Breadth,
    CorrelationRule,
    DecisionRule,
    History,
    Promotion,
    Rate,
    SeverityRule,
)
from services.windows import Window
from tests.builders import NOW, POLICY, an_alert, minutes, resolved

DEPENDENCIES = {"web": ("api",), "api": ("db",), "shop": ("db",)}

WORK = Maintenance("file:work", "work", selector(['env="q"']), Window.parse(starts=NOW + minutes(5), duration=minutes(15)))

R = TypeVar("R", SeverityRule, CorrelationRule, DecisionRule)
V = TypeVar("V")


def perhaps(strategy: st.SearchStrategy[V]) -> st.SearchStrategy[V | None]:
    """Nothing, as often as not."""
    return st.one_of(st.none(), strategy)


spans = st.sampled_from([minutes(3), minutes(10), minutes(25)])
severities = st.sampled_from(Severity)
breadths = st.builds(Breadth, st.sampled_from(["service", "instance", "alertname"]), st.integers(2, 3), spans)
selectors = st.sampled_from(
    [selector(texts) for texts in ([], ['service="web"'], ['service=~"api|db"'], ['alertname!="A"'], ['env="p"', 'service!=""'])]
)
labels_of_keys = st.sampled_from([("service", "env"), ("env",), ("alertname",), ("instance", "env")])
severity_rules = st.builds(SeverityRule, st.just(""), selectors, severities, perhaps(breadths), perhaps(spans))
correlation_rules = st.builds(CorrelationRule, st.just(""), selectors, labels_of_keys)
ratings = st.frozensets(st.one_of(st.none(), severities), min_size=1)
actions = st.sampled_from([Action.OPEN, Action.OPEN, Action.TRIAGE, Action.TRIAGE, Action.ATTACH, Action.RECORD, Action.IGNORE])
decision_rules = st.builds(DecisionRule, st.just(""), selectors, actions, perhaps(ratings))
promotions = st.builds(Promotion, perhaps(severities), perhaps(breadths), perhaps(spans))
pasts = st.builds(
    History,
    perhaps(st.just(minutes(40))),
    st.sampled_from([timedelta(0), minutes(30)]),
    perhaps(st.builds(Rate, st.integers(2, 3), spans)),
)


def named(word: str, rules: Sequence[R]) -> tuple[R, ...]:
    """The rules with names of their own."""
    return tuple(replace(rule, name=f"{word}-{number}") for number, rule in enumerate(rules))


@st.composite
def policies(draw: st.DrawFn, /, **fixed: Any) -> Policy:
    """Rules of all kinds, with conditions that a short history can meet; `fixed` is not drawn."""
    drawn: dict[str, Any] = {
        "floor": draw(st.booleans()),
        "severity_rules": named("raise", draw(st.lists(severity_rules, max_size=3))),
        "history": draw(pasts),
        "correlation": draw(labels_of_keys),
        "correlation_rules": named("by", draw(st.lists(correlation_rules, max_size=1))),
        "rules": named("rule", draw(st.lists(decision_rules, max_size=3))),
        "promotion": draw(promotions),
        "flapping": Rate(draw(st.integers(2, 3)), draw(spans)),
        "guard": Rate(draw(st.sampled_from([1, 2, 10])), draw(spans)),
        "dependencies": draw(st.sampled_from([{}, DEPENDENCIES])),
        "maintenance": draw(st.sampled_from([(), (WORK,)])),
        "quiet_period": draw(st.sampled_from([minutes(5), minutes(0)])),
        "triage_quiet_period": draw(st.sampled_from([minutes(8), minutes(0)])),
        "refire_window": draw(st.sampled_from([minutes(20), minutes(0)])),
    }
    return replace(POLICY, **(drawn | fixed))


@dataclass(frozen=True)
class Delivery:
    """Messages that are decided as one batch."""

    now: datetime
    alerts: tuple[AlertReceived, ...]


@dataclass(frozen=True)
class Order:
    """What somebody wants of one of the incidents there are; `number` counts around them."""

    now: datetime
    number: int
    command: ask.Command


Story = Sequence[Delivery | Order]


class Told(Protocol):
    """Who decides and carries out."""

    def take(self, *alerts: AlertReceived, now: datetime) -> object: ...

    def ask(self, name: str, command: ask.Command, now: datetime) -> object: ...

    @property
    def incidents(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Message:
    """Alert number `alert` fires or is over, as of `age` minutes ago; it comes `delay` and perhaps `again` steps later."""

    alert: int
    fires: bool
    age: float
    delay: int
    again: int | None


alerts = st.builds(
    an_alert,
    st.sampled_from(["A", "B"]),
    severity=st.sampled_from(["s1", "s2", "s3", "s3", "s4", "odd"]),
    service=st.sampled_from(["web", "api", "db", "shop", None]),
    env=st.sampled_from(["p", "q", None]),
    instance=st.sampled_from(["1", "2", "3"]),
)
messages = st.builds(
    Message,
    st.integers(0, 4),
    st.sampled_from([True, True, False]),
    st.sampled_from([0.0, 0.0, 1.0, 6.0]),
    st.sampled_from([0, 0, 0, 1, 3]),
    st.one_of(st.none(), st.none(), st.integers(0, 3)),
)
orders = st.one_of(
    st.builds(ask.SetSeverity, severities, st.booleans()),
    st.just(ask.Unpin()),
    st.builds(ask.Move, st.sampled_from([step for step in Step if step is not Step.MERGE])),
)
gaps = st.sampled_from([1, 0, 2, 4, 7, 12, 22, 45])
"""Minutes between two steps."""


@st.composite
def histories(draw: st.DrawFn, *, ticks: bool = False, back: bool = True, commands: bool = True) -> list[Delivery | Order]:
    """What is delivered and ordered, and when. With `ticks` no two steps are whole minutes apart; `back`: the clock may be set
    back."""
    known = draw(st.lists(alerts, min_size=3, max_size=5))
    told = st.lists(messages, min_size=1, max_size=4)
    steps = draw(st.lists(st.tuples(gaps, told, st.lists(orders, max_size=1)), min_size=5, max_size=14))
    if back and draw(st.booleans()):
        steps.insert(draw(st.integers(0, len(steps))), (-3, [], []))
    found: list[Delivery | Order] = []
    now, late, started = NOW, dict[int, list[AlertReceived]](), dict[str, datetime]()
    for position, (gap, said, wanted) in enumerate(steps):
        now += minutes(gap) + timedelta(seconds=int(ticks))
        for message in said:
            alert = _told(known[message.alert % len(known)], message, now, started)
            for delay in {message.delay, message.again} - {None}:
                late.setdefault(position + (delay or 0), []).append(alert)
        found.append(Delivery(now, tuple(late.pop(position, []))))
        found += [Order(now, draw(st.integers(0, 5)), command) for command in wanted if commands]
    rest = [alert for position in sorted(late) for alert in late[position]]
    return [*found, Delivery(now, tuple(rest))]


def _told(alert: AlertReceived, message: Message, now: datetime, started: dict[str, datetime]) -> AlertReceived:
    """What is over has begun before; it goes on with its start until then."""
    moment = now - minutes(message.age)
    if message.fires or alert.fingerprint not in started:
        start = started.setdefault(alert.fingerprint, moment)
        return alert.model_copy(update={"starts_at": start, "received_at": now})
    start = started.pop(alert.fingerprint)
    return resolved(alert.model_copy(update={"starts_at": start}), max(start, moment)).model_copy(update={"received_at": now})


def play(history: Story, desk: Told) -> None:
    """All of it."""
    for step in history:
        play_one(step, desk)


def play_one(step: Delivery | Order, desk: Told) -> None:
    """Orders go to nobody while there are no incidents."""
    if isinstance(step, Delivery):
        desk.take(*step.alerts, now=step.now)
    elif desk.incidents:
        names = list(desk.incidents)
        desk.ask(names[step.number % len(names)], step.command, step.now)
