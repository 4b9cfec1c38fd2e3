"""A rule as it stood in the policy that decided."""

import pytest

from services.orchestrator.domain.policy.builtin import BUILT_IN
from services.orchestrator.handlers.explaining import rule_text

PAGES = {"name": "pages", "match": ['team="db"', 'env=~"gprd|gstg"'], "severity": ["S1", "unknown"], "action": "open"}
POLICY = {"document": {"rules": [PAGES, {"name": "rest", "match": [], "severity": None, "action": "record"}]}}


def test_a_rule_is_told_as_a_file_says_it_without_what_was_left_out() -> None:
    pages = 'match: [team="db", env=~"gprd|gstg"]\nseverity: [S1, unknown]\naction: open'
    assert (rule_text("pages", POLICY), rule_text("rest", POLICY)) == (pages, "action: record")


def test_a_rule_of_tocsins_own_needs_no_policy() -> None:
    assert rule_text("refire", None) == BUILT_IN["refire"]


@pytest.mark.parametrize("policy", [None, {}, {"document": {}}, POLICY])
def test_what_is_not_kept_is_not_invented(policy: dict[str, object] | None) -> None:
    assert rule_text("gone", policy) is None
