"""What can be explained, whichever database it is read from.

A subclass gives the fixture `empty`: a database without tables.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from schemas.vocabulary import Action
from services.matching import selector
from services.orchestrator.domain.policy.rules import DecisionRule
from services.orchestrator.handlers.archive import PolicyArchive
from services.orchestrator.handlers.explaining import FIRST, Explanations
from services.orchestrator.store import policies
from services.runtime.db import Database
from services.runtime.migrate import migrate
from tests.builders import NOW, POLICY, an_alert, minutes, resolved
from tests.contract.regroup_contract import Town

PAGES: dict[str, Any] = {"name": "pages", "match": ['service="db"'], "severity": None, "action": "open"}
BY_RULE = replace(POLICY, version="sha256:one", rules=(DecisionRule("pages", selector(PAGES["match"]), Action.OPEN),))


class Pages:
    """The policy's document, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked, self.rules = 0, [PAGES]

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        return {"rules": self.rules}


class ExplainContract:
    """Kept policies, and explanations by them."""

    @pytest.fixture
    async def pages(self) -> Pages:
        return Pages()

    @pytest.fixture
    async def library(self, empty: Database, pages: Pages) -> Town:
        await migrate(empty, "services.orchestrator.store.migrations")
        library = Town(empty, PolicyArchive(pages))
        library.policy = BY_RULE
        return library

    async def explained(self, library: Town, fingerprint: str) -> dict[str, Any]:
        told = await Explanations(library.database).alert(fingerprint)
        assert told
        return told

    async def test_an_old_decision_is_explained_by_the_rule_of_then(self, library: Town, pages: Pages) -> None:
        old, new = an_alert("DbSlow", service="db", severity="s4"), an_alert("DbFull", service="db", env="gstg", severity="s4")
        await library.take(old)
        library.policy, pages.rules = replace(POLICY, version="sha256:two"), []
        await library.take(new)
        decision = (await self.explained(library, old.fingerprint))["firings"][0]["decision"]
        assert (decision["rule"], decision["policy"]) == ("pages", "sha256:one")
        assert decision["rule_text"] == 'match: [service="db"]\naction: open'
        decision = (await self.explained(library, new.fingerprint))["firings"][0]["decision"]
        assert (decision["rule"], decision["policy"]) == ("record-s3-s4", "sha256:two")
        assert decision["rule_text"].startswith("An S3 or S4 alert is recorded only")

    async def test_what_later_became_of_a_firing_is_told_in_order(self, library: Town) -> None:
        waits, web = an_alert("Slow", severity="s3"), an_alert()
        await library.take(waits, web, an_alert("DbDown", service="db"))
        await library.merge("INC-1", "INC-2")
        await library.split("INC-2", waits)
        (firing,) = (await self.explained(library, waits.fingerprint))["firings"]
        assert (firing["decision"]["action"], firing["decision"]["incident"]) == ("record", None)
        assert [(turn["event"], turn["incident"]) for turn in firing["later"]] == [
            ("joined", "INC-1"),
            ("moved", "INC-2"),
            ("moved", "INC-3"),
        ]
        assert firing["later"][0]["reason"] == "INC-1 was opened for the same key"
        assert {turn["at"] for turn in firing["later"]} == {NOW}

    async def test_nothing_is_told_of_what_nobody_knows(self, library: Town) -> None:
        explanations = Explanations(library.database)
        assert await explanations.alert("unknown") is None
        assert await explanations.incident("INC-1") is None
        assert await explanations.policy("sha256:one") is None

    async def test_an_incident_is_explained_by_its_rule_and_the_decisions_about_its_alerts(self, library: Town) -> None:
        gone = an_alert("DbGone", service="db")
        await library.take(gone, an_alert("DbSlow", service="db", severity="s4"))
        await library.take(resolved(gone, NOW + minutes(1)))
        told = await Explanations(library.database).incident("INC-1")
        assert told
        assert set(told) == {"incident", "rule_text", "policy", "alerts"}
        assert (told["incident"]["id"], told["rule_text"]) == ("INC-1", 'match: [service="db"]\naction: open')
        assert told["policy"] == {"hash": "sha256:one", "first_used_at": NOW}
        assert [(alert["name"], alert["state"], alert["decision"]["rule"]) for alert in told["alerts"]] == [
            ("DbGone", "resolved", "pages"),
            ("DbSlow", "firing", "attach-same-key"),
        ]
        assert all(alert["decision"]["rule_text"] and alert["later"] == [] for alert in told["alerts"])

    async def test_an_incident_of_a_persons_has_no_rule(self, library: Town) -> None:
        await library.take(an_alert(), an_alert("Second"))
        await library.split("INC-1", an_alert("Second"))
        told = await Explanations(library.database).incident("INC-2")
        assert told
        assert (told["rule_text"], told["policy"]) == (None, None)
        assert [(alert["name"], alert["decision"]["incident"]) for alert in told["alerts"]] == [("Second", "INC-1")]

    async def test_only_the_first_alerts_of_many_are_told(self, library: Town) -> None:
        await library.take(*(an_alert(f"A{number}") for number in range(FIRST + 5)))
        told = await Explanations(library.database).incident("INC-1")
        assert told
        assert [alert["name"] for alert in told["alerts"]] == [f"A{number}" for number in range(FIRST)]

    async def test_a_policy_is_kept_once_and_then_no_more_is_asked(self, library: Town, pages: Pages) -> None:
        for _ in range(5):
            await library.take(an_alert())
        assert pages.asked == 2
        kept = await Explanations(library.database).policy("sha256:one")
        assert kept == {"hash": "sha256:one", "first_used_at": NOW, "document": {"rules": [PAGES]}}

    async def test_what_was_rolled_back_is_kept_again(self, library: Town, pages: Pages) -> None:
        archive = PolicyArchive(pages)
        for fails in (True, True, False, True, False):
            with suppress(LookupError):
                async with library.database.transaction() as connection:
                    await archive.keep(connection, "sha256:x", NOW)
                    if fails:
                        raise LookupError
        assert pages.asked == 4
        async with library.database.read() as connection:
            assert set(await policies.kept(connection, ["sha256:x", "sha256:y"])) == {"sha256:x"}
