"""Why something was decided: the decision with its facts, the rule as it stood in the policy that decided, what came later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.deciding.ledger import Turn
from services.orchestrator.domain.policy.builtin import BUILT_IN
from services.orchestrator.handlers import shapes
from services.orchestrator.store import firings, incidents, policies, turns
from services.runtime.db import Database

FIRST = 100
"""So many of an incident's alerts are explained, the earliest ones."""


@dataclass(frozen=True)
class Known:
    """What is needed besides the firings: the policies that decided, by their hash, and what later became of each firing."""

    policies: Mapping[str, Mapping[str, Any]]
    turns: Mapping[int, Sequence[Turn]]

    def told(self, firing: Firing) -> dict[str, Any]:
        """The decision and what came after it."""
        decision = firing.decision
        assert decision is not None
        text = rule_text(decision.rule, self.policies.get(decision.policy))
        told = shapes.decision(firing) | {"rule_text": text}
        return {"decision": told, "later": shapes.later(self.turns.get(decision.seq, ()))}


class Explanations:
    """Reads over the orchestrator's own tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def alert(self, fingerprint: str) -> dict[str, Any] | None:
        """Every firing of an alert with its decision, newest first; None until something was decided about it."""
        async with self._database.read() as connection:
            history = await firings.history(connection, fingerprint)
            known = await _known(connection, history)
        if not history:
            return None
        return {
            "fingerprint": fingerprint,
            "labels": dict(history[0].labels),
            "firings": [shapes.firing(firing) | known.told(firing) for firing in history],
        }

    async def incident(self, name: str) -> dict[str, Any] | None:
        """Why an incident exists, and the decisions about the first of its alerts; None when there is no such incident."""
        async with self._database.read() as connection:
            incident = await incidents.get(connection, name)
            if incident is None:
                return None
            linked = await firings.first(connection, name, FIRST)
            by = incident.opened_by
            known = await _known(connection, linked, by.policy)
        policy = known.policies.get(by.policy) if by.policy else None
        return {
            "incident": incident.model_dump(mode="json"),
            "rule_text": rule_text(by.name, policy) if by.policy else None,
            "policy": {"hash": by.policy, "first_used_at": policy["first_used_at"]} if policy else None,
            "alerts": [_alert(firing) | known.told(firing) for firing in linked],
        }

    async def policy(self, hash: str) -> dict[str, Any] | None:
        """A policy that decided, as it was kept."""
        async with self._database.read() as connection:
            return (await policies.kept(connection, [hash])).get(hash)


async def _known(connection: AsyncConnection, found: Sequence[Firing], *more: str | None) -> Known:
    decisions = [firing.decision for firing in found if firing.decision]
    hashes = {decision.policy for decision in decisions} | {policy for policy in more if policy}
    later = await turns.of(connection, [decision.seq for decision in decisions])
    return Known(await policies.kept(connection, hashes), later)


def _alert(firing: Firing) -> dict[str, Any]:
    about = {"fingerprint": firing.fingerprint, "name": firing.name, "severity": firing.severity, "labels": dict(firing.labels)}
    return about | shapes.firing(firing)


def rule_text(name: str, policy: Mapping[str, Any] | None) -> str | None:
    """What a rule says: a sentence for Tocsin's own, else as it stands in the policy; None when that is not kept."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    rules = (policy or {}).get("document", {}).get("rules", ())
    rule = next((rule for rule in rules if rule.get("name") == name), None)
    if rule is None:
        return None
    return "\n".join(f"{key}: {_as_yaml(value)}" for key, value in rule.items() if key != "name" and value not in (None, []))


def _as_yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1_000)
    return text.removesuffix("...\n").strip()
