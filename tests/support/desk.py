"""A desk where alerts are decided and people's orders carried out, one after the other, on a world that lasts."""

from collections.abc import Mapping
from datetime import datetime

from schemas.alerts import AlertReceived
from schemas.incidents import Incident, IncidentEvent
from services.orchestrator.domain.alerts.firings import Decision, Firing
from services.orchestrator.domain.deciding.ledger import Outcome, Turn
from services.orchestrator.domain.evidence.evidence import SloState
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.domain.trying.simulation import Played, Simulation
from tests.builders import ANN, NOW, POLICY


class Desk:
    """`firings` are as they now are, by the number of their decision; `turns` and `events` are all there ever were."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy, self._simulation = policy, Simulation(policy, telling=True)
        self.firings: dict[int, Firing] = {}
        self.turns: list[Turn] = []
        self.events: list[IncidentEvent] = []

    @property
    def world(self) -> Played:
        return self._simulation.world

    @property
    def latest(self) -> dict[str, Firing]:
        return self.world.latest

    @property
    def incidents(self) -> dict[str, Incident]:
        return self.world.incidents

    @property
    def types(self) -> list[str]:
        """The events' types, in short: `opened`, `alerts_attached` …"""
        return [event.type.split(".")[2] for event in self.events]

    def turns_of(self) -> dict[int, list[Turn]]:
        """The turns by the numbers of the decisions, in their order."""
        found: dict[int, list[Turn]] = {}
        for turn in self.turns:
            found.setdefault(turn.seq, []).append(turn)
        return found

    def take(self, *alerts: AlertReceived, now: datetime = NOW, slos: Mapping[str, SloState] | None = None) -> Outcome:
        """Decide the alerts as one batch, after whatever was due."""
        self.tick(now)
        outcome = self._simulation.alerts(now, alerts, slos)
        self._keep(outcome)
        return outcome

    def fire(self, alert: AlertReceived, now: datetime = NOW, slos: Mapping[str, SloState] | None = None) -> Decision:
        """What is decided about an alert that begins."""
        decision = self.take(alert, now=now, slos=slos).began[0].decision
        assert decision is not None
        return decision

    def tick(self, now: datetime) -> None:
        """Do whatever falls due until then, each at its own moment."""
        for outcome in self._simulation.advance(now):
            self._keep(outcome)

    def order(self, name: str, command: ask.Command, now: datetime = NOW) -> Incident:
        """What Ann wants to be done; it is not refused."""
        answer = self.ask(name, command, now)
        assert not isinstance(answer, Refusal), answer
        return self.incidents[name]

    def ask(self, name: str, command: ask.Command, now: datetime = NOW) -> list[IncidentEvent] | Refusal:
        """What Ann would like to be done, and the answer."""
        self.tick(now)
        answer = self._simulation.command(now, name, command, ANN, "because")
        if isinstance(answer, list):
            self.events += answer
        return answer

    def _keep(self, outcome: Outcome) -> None:
        for firing in [*outcome.changed, *outcome.began]:
            assert firing.decision
            self.firings[firing.decision.seq] = firing
        self.turns += outcome.turns
        self.events += outcome.events
