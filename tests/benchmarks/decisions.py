"""Decisions per second of the engine alone, in memory on one core, and how they slow down with more rules.

20,000 alerts that all begin, in batches of 500: every one is judged by all rules of the policy, decided with its facts and its
sentence, and told to its incident. Time is that of the processor; of each policy the best of some runs counts, and each run
begins with nothing remembered.
"""

import gc
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from schemas.alerts import AlertReceived
from schemas.vocabulary import Action, Severity
from services.matching import selector
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.policy.rules import Breadth, DecisionRule, Rate, SeverityRule
from services.orchestrator.domain.trying.simulation import Simulation
from tests.benchmarks.report import Row
from tests.builders import NOW, POLICY, an_alert, minutes
from tests.support.kafka import KafkaServer
from tests.support.postgres import PostgresServer

ALERTS, GROUP, EACH, RUNS, AIM = 20_000, 50, 500, 3, 20_000
SIZES = (5, 50, 500)
"""Rules in a policy; the one in the middle is the one with an aim."""


async def measure(kafka: KafkaServer | None, postgres: PostgresServer | None, folder: Path | None) -> list[Row]:
    """The rate with 50 rules, and the growth from 5 to 50 and to 500."""
    del kafka, postgres, folder
    every = list(_alerts(random.Random(1)))
    batches = [every[start : start + EACH] for start in range(0, ALERTS, EACH)]
    seconds = {size: min(_run(policy(size), batches) for _ in range(RUNS)) for size in SIZES}
    small, usual, large = (seconds[size] for size in SIZES)
    rate = ALERTS / usual
    raw = ", ".join(f"{size} rules {ALERTS / seconds[size]:,.0f}/s" for size in SIZES)
    growth = max(usual / small, large / usual)
    return [
        Row(f"decisions per second on one core, {SIZES[1]} rules", f"{rate:,.0f}", f"≥ {AIM:,}", rate >= AIM, raw),
        Row("time for ten times as many rules", f"× {growth:.1f}", "≤ × 10", growth <= 10, raw),
    ]


def policy(size: int) -> Policy:
    """Four rules in five name a service and an alert, the others have expressions; one in ten severity rules beside them looks
    for breadth."""
    actions = (Action.OPEN, Action.TRIAGE, Action.ATTACH, Action.RECORD, Action.IGNORE)
    rules = [
        DecisionRule(f"rule-{number}", selector(_literal(number) if number % 5 else _expression(number)), actions[number % 5])
        for number in range(size)
    ]
    wide = Breadth("pod", 10, minutes(10))
    severity = [
        SeverityRule(f"wide-{number}", selector([f'team="team-{number % 8}"']), Severity.S2, wide)
        for number in range(max(1, size // 10))
    ]
    return replace(POLICY, rules=tuple(rules), severity_rules=tuple(severity), guard=Rate(1000, minutes(10)))


def _literal(number: int) -> Sequence[str]:
    return [f'service="service-{number % 60}"', f'alertname="Alert{number % 37}"']


def _expression(number: int) -> Sequence[str]:
    return [f'namespace=~"(staging|review)-{number % 7}.*"', f'alertname!~"Alert{number % 37}|Watchdog"']


def _alerts(dice: random.Random) -> Iterator[AlertReceived]:
    """Sixty services with eight kinds of alerts each, on many pods, as Alertmanager sends them: in groups of one service."""
    for group in range(0, ALERTS, GROUP):
        of, env = dice.randrange(60), dice.choice(["gprd", "gprd", "gstg", "ops"])
        for number in range(group, group + GROUP):
            yield _alert(dice, number, of, env)


def _alert(dice: random.Random, number: int, of: int, env: str) -> AlertReceived:
    service, cluster = f"service-{of}", f"{env}-{dice.choice(['eu', 'us'])}-{dice.randrange(4)}"
    return an_alert(
        f"Alert{(of * 7 + dice.randrange(8)) % 40}",
        severity=dice.choices(["s1", "s2", "s3", "warning", "info"], [2, 8, 40, 40, 10])[0],
        service=service,
        env=env,
        annotations={
            "title": f"{service} has a high error ratio",
            "description": f"The error ratio of {service} in {cluster} has been above its threshold for 5 minutes.",
            "runbook": f"https://runbooks.example/{service}",
        },
        cluster=cluster,
        namespace=f"{'production' if env == 'gprd' else 'staging'}-{of % 10}",
        pod=f"{service}-{number:x}-{dice.randrange(16**5):05x}",
        instance=f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}:9090",
        job=f"kubernetes-{service}",
        team=f"team-{of % 8}",
        tier=("web", "data", "infra")[of % 3],
    )


def _run(policy: Policy, batches: Sequence[Sequence[AlertReceived]]) -> float:
    """Seconds of the processor for all of it, with a simulation and a policy of its own."""
    simulation = Simulation(replace(policy), telling=True)
    gc.collect()
    begun = time.process_time()
    for number, batch in enumerate(batches):
        simulation.alerts(NOW + minutes(number / 60), batch)
    spent = time.process_time() - begun
    assert simulation.world.next_decision == ALERTS + 1
    return spent
