"""Finding the rules that match without asking all of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.vocabulary import Action
from services.matching import Matcher, Op, Selector, selector
from services.orchestrator.domain.policy import rules
from services.orchestrator.domain.policy.rules import DecisionRule, Index

NAMES, VALUES = ("service", "env", "team"), ("web", "db", "a|b", "")
matchers = st.builds(Matcher, st.sampled_from(NAMES), st.sampled_from(Op), st.sampled_from(["web", "db", "web|db", ".*", ""]))
selectors = st.builds(Selector, st.lists(matchers, max_size=3).map(tuple))
label_sets = st.dictionaries(st.sampled_from([*NAMES, "instance"]), st.sampled_from(VALUES))


def ruled(selectors: Sequence[Selector]) -> list[DecisionRule]:
    return [DecisionRule(f"rule-{number}", each, Action.OPEN) for number, each in enumerate(selectors)]


@given(st.lists(selectors, max_size=12), st.lists(label_sets, min_size=1, max_size=12))
def test_an_index_finds_what_asking_every_rule_finds_in_their_order(
    selectors: list[Selector], alerts: list[dict[str, str]]
) -> None:
    every = ruled(selectors)
    index = Index(every)
    for labels in [*alerts, *alerts]:
        assert list(index.matching(labels)) == [rule for rule in every if rule.selector.matches(labels)], labels


def test_what_is_remembered_is_no_other_alerts_answer() -> None:
    index = Index(ruled([selector(['service!="web"'])]))
    assert [len(index.matching(labels)) for labels in ({"service": "web"}, {}, {"service": ""}, {"service": "db"})] == [
        0,
        1,
        1,
        1,
    ]


def test_it_forgets_before_it_remembers_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MEMORY", 10)
    index = Index(ruled([selector(['service=~"s1.*"'])]))
    found = [len(index.matching({"service": f"s{number}"})) for number in range(100)]
    assert (sum(found), len(index._remembered)) == (11, 10)


def test_labels_of_any_length_are_matched_and_long_ones_not_kept() -> None:
    index = Index(ruled([selector(['service=~"s.*"'])]))
    assert [len(index.matching({"service": f"s{number}" * 2_000})) for number in range(3)] == [1, 1, 1]
    assert not index._remembered


def test_labels_that_no_rule_looks_at_are_not_remembered() -> None:
    index = Index(ruled([selector(['service="web"'])]))
    for number in range(100):
        index.matching({"service": "web", "instance": f"{number}"})
    assert len(index._remembered) == 1
