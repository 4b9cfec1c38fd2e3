"""What happens: a warning, an outage, people at work, an end that is none, and the end."""

from contextlib import AsyncExitStack

from services.cli.demo.narrator import Narrator
from services.cli.demo.stage import QUIET, Json, Missed, Stage, interrupted, stage
from services.cli.webhook import PATH

_WHERE = {"service": "checkout", "env": "prod"}
_LINKS = {"runbook_url": "https://runbooks.example.com/checkout", "dashboard_url": "https://grafana.example.com/d/checkout"}

QUEUE = {"alertname": "CheckoutQueueGrowing", "severity": "s3", **_WHERE}
ERRORS = {"alertname": "CheckoutErrorRateHigh", "severity": "s1", **_WHERE}
PAYMENTS = {"alertname": "PaymentsFailing", "severity": "s1", **_WHERE}

_SAID = {
    "CheckoutQueueGrowing": {"summary": "The checkout queue grows"},
    "CheckoutErrorRateHigh": {"summary": "One in five checkouts fails", **_LINKS},
    "PaymentsFailing": {"summary": "Card payments fail", **_LINKS},
}


async def perform(narrator: Narrator, *, keep: bool) -> str | None:
    """Build the stage and play; returns in words what did not happen. With `keep` it stays until the person has seen enough."""
    async with AsyncExitStack() as stack:
        try:
            with narrator.waiting("Tocsin starts …"):
                built = await stack.enter_async_context(stage())
            await Story(built, narrator).play()
        except Missed as missed:
            return str(missed)
        if keep:
            narrator.stays(built.url, built.person)
            await interrupted()
    return None


class Story:
    """Plays on a stage and tells it as it goes. Raises `Missed` when Tocsin does not do its part."""

    def __init__(self, stage: Stage, tell: Narrator) -> None:
        self._stage, self._tell = stage, tell
        self._incident = ""

    async def play(self) -> None:
        """All of it."""
        await self._warning()
        await self._outage()
        await self._second_alert()
        await self._people()
        await self._quiet()
        await self._refire()
        await self._quiet_again()
        await self._close()
        await self._look_back()

    async def _warning(self) -> None:
        await self._tell.step("A warning comes in", f"Alertmanager posts {_alert(QUEUE)} to {PATH}.")
        decision = await self._stage.decision(await self._fire(QUEUE))
        self._tell.outcome("recorded, nobody is disturbed", decision["reason"])

    async def _outage(self) -> None:
        await self._tell.step("The outage begins", f"Alertmanager posts {_alert(ERRORS)}.")
        decision = await self._stage.decision(await self._fire(ERRORS))
        self._incident = decision["incident"]
        opened = await self._stage.event(self._incident, "opened")
        incident = await self._stage.get(f"/api/v1/incidents/{self._incident}")
        self._tell.outcome(f"{self._incident} opens as {incident['severity']}: {incident['title']}", opened["reason"])

    async def _second_alert(self) -> None:
        await self._tell.step("It gets worse", f"Alertmanager posts {_alert(PAYMENTS)}.")
        decision = await self._stage.decision(await self._fire(PAYMENTS))
        self._tell.outcome(f"joins {decision['incident']}: one outage, one incident", decision["reason"])

    async def _people(self) -> None:
        await self._tell.step("Ann takes care", "She notes that she is on it, and tells everybody what she does.")
        await self._stage.act(f"{self._incident}/notes", text="Acknowledged, Ann is on it.")
        text = "Checkout fails since the 14:00 release; we roll it back."
        await self._stage.act(f"{self._incident}/updates", text=text, next_in="30m")
        note, update = await self._event("note_added"), await self._event("update_posted")
        self._tell.outcome(f"note: {note['text']}", "It stays in the timeline and is told to nobody.")
        self._tell.outcome(f"update: {update['text']}", "It goes to everybody who follows, and promises the next in 30 minutes.")

    async def _quiet(self) -> None:
        await self._tell.step("The rollback helps", "Alertmanager says that the alerts are over, one after the other.")
        await self._end(ERRORS)
        await self._end(PAYMENTS)
        await self._proposal()

    async def _refire(self) -> None:
        await self._tell.step("Too early: it is back", f"Alertmanager posts {_alert(PAYMENTS)} again.")
        decision = await self._stage.decision(await self._fire(PAYMENTS))
        self._tell.outcome(f"joins {decision['incident']} again", decision["reason"])
        cleared = await self._event("proposal_cleared")
        self._tell.outcome(cleared["text"], cleared["reason"])

    async def _quiet_again(self) -> None:
        await self._tell.step("Now it is really over", "Alertmanager says that the last alert is over.")
        await self._end(PAYMENTS)
        await self._proposal()

    async def _close(self) -> None:
        await self._tell.step("Ann decides", "Tocsin proposes; people end incidents, and say why.")
        for step, reason in (("mitigate", "Rolled back, error rate is normal."), ("resolve", "Stable, the fix is in review.")):
            await self._stage.act(f"{self._incident}/{step}", reason=reason)
            line = await self._event("mitigated" if step == "mitigate" else "resolved")
            self._tell.outcome(f"{self._incident} is {line['text'].lower()}", f"{line['actor']['name']}: {line['reason']}")

    async def _look_back(self) -> None:
        timeline = await self._stage.get(f"/api/v1/incidents/{self._incident}/timeline")
        deliveries = await self._stage.until("all messages to be delivered", self._delivered)
        self._tell.timeline(self._incident, timeline["items"])
        self._tell.messages(deliveries, timeline["items"])

    async def _delivered(self) -> list[Json] | None:
        found: list[Json] = (await self._stage.get(f"/api/v1/deliveries?incident={self._incident}&limit=200"))["items"]
        current = await self._stage.get(f"/api/v1/incidents/{self._incident}")
        newest = max((delivery["version"] for delivery in found), default=0)
        under_way = any(delivery["state"] in {"pending", "sending"} for delivery in found)
        return None if under_way or newest < current["version"] else found[::-1]

    async def _fire(self, labels: dict[str, str]) -> str:
        return await self._stage.fire(labels, _SAID[labels["alertname"]])

    async def _end(self, labels: dict[str, str]) -> None:
        await self._stage.end(labels, _SAID[labels["alertname"]])
        line = await self._event("alerts_resolved")
        self._tell.outcome(f"{labels['alertname']} ended: {line['text']}", "")

    async def _proposal(self) -> None:
        with self._tell.waiting(f"quiet for {QUIET} s? (five minutes outside of this demonstration)"):
            line = await self._event("mitigation_proposed")
        incident = await self._stage.get(f"/api/v1/incidents/{self._incident}")
        self._tell.outcome(line["text"], incident["proposal"]["reason"])

    async def _event(self, kind: str) -> Json:
        return await self._stage.event(self._incident, kind)


def _alert(labels: dict[str, str]) -> str:
    return f"{labels['alertname']} (severity {labels['severity']}, service {labels['service']})"
