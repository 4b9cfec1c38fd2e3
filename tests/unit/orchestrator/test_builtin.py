"""Tocsin's own rules can be explained by their names."""

from services.config.policy import RESERVED
from services.orchestrator.domain.policy.builtin import BUILT_IN


def test_every_name_that_a_file_may_not_give_has_a_sentence() -> None:
    assert set(BUILT_IN) == RESERVED
    assert all(sentence.endswith(".") for sentence in BUILT_IN.values())
