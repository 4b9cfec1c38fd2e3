"""What changed states of firings mean for incidents."""

from dataclasses import replace

from schemas.vocabulary import FiringState, Severity
from services.orchestrator.domain.alerts.reconcile import UNHEARD, Change
from services.orchestrator.domain.deciding.restating import MOST_REASONS, incidents_of, tell, turns_of
from services.orchestrator.domain.incident import commands as ask
from tests.builders import NOW
from tests.unit.orchestrator.test_reconcile import BY, FIRING, MUTED, RESOLVED, STALE, a_firing


def changed(seq: int, before: FiringState, after: FiringState, reason: str | None = "because", **given: object) -> Change:
    ends_at = NOW if after is RESOLVED else None
    return Change(replace(a_firing(seq, **given), state=after, ends_at=ends_at), before, reason)


def test_ten_thousand_muted_by_one_silence_are_one_event_with_twenty_examples() -> None:
    [told] = tell(changed(seq, FIRING, MUTED, BY) for seq in range(1, 10_001))
    assert isinstance(told.command, ask.Restate)
    assert (told.incident, told.reason, told.rule) == ("INC-1", BY, "reconcile")
    assert (told.command.before, told.command.after, told.command.count) == (FIRING, MUTED, 10_000)
    assert [example.instance for example in told.command.examples] == [f"web-{seq}" for seq in range(1, 21)]


def test_what_is_over_is_told_at_once_with_the_states_until_then() -> None:
    changes = [
        changed(1, FIRING, RESOLVED), changed(2, MUTED, RESOLVED), changed(3, STALE, RESOLVED, severity=Severity.S4),
    ]  # fmt: skip
    [told] = tell(changes)
    assert isinstance(told.command, ask.Detach)
    assert (told.command.count, told.command.gating, told.command.muted, told.command.stale) == (3, 2, 1, 1)


def test_each_incident_transition_and_rule_is_told_on_its_own() -> None:
    changes = [
        changed(1, FIRING, MUTED), changed(2, STALE, MUTED), changed(3, FIRING, MUTED, incident="INC-2"),
        changed(4, FIRING, STALE), replace(changed(5, FIRING, STALE), rule=UNHEARD),
    ]  # fmt: skip
    found = [(told.incident, told.rule, told.command.count) for told in tell(changes)]
    assert found == [("INC-1", "reconcile", 1), ("INC-1", "reconcile", 1), ("INC-2", "reconcile", 1),
                     ("INC-1", "reconcile", 1), ("INC-1", "stale-after", 1)]  # fmt: skip


def test_what_belongs_to_no_incident_or_is_only_kept_up_is_told_to_nobody() -> None:
    changes = [changed(1, FIRING, MUTED, incident=None), changed(2, FIRING, FIRING, None)]
    assert (tell(changes), incidents_of(changes)) == ([], set())
    assert [(turn.seq, turn.event) for turn in turns_of(changes, NOW)] == [(1, "muted")]


def test_many_reasons_are_a_handful_and_the_last_stands_for_the_rest() -> None:
    common = [changed(seq, FIRING, MUTED, BY) for seq in range(1, 4)]
    others = [changed(seq, FIRING, MUTED, f"inhibited by Node{seq}") for seq in range(10, 110)]
    told = tell([*others, *common])
    assert [each.command.count for each in told] == [3, 1, 1, 1, 97]
    assert len(told) == MOST_REASONS
    assert (told[0].reason, told[-1].reason) == (BY, "inhibited by Node13; and for 96 other reasons")


def test_the_critical_ones_that_fire_again_are_counted() -> None:
    [told] = tell([changed(1, MUTED, FIRING), changed(2, MUTED, FIRING, severity=Severity.S3)])
    assert isinstance(told.command, ask.Restate)
    assert (told.command.count, told.command.gating) == (2, 1)


def test_hostile_names_become_printable() -> None:
    [told] = tell([changed(1, FIRING, MUTED, "by\n/close", name="x\x00\x1b[31m" * 100, instance="\n")])
    [example] = told.command.examples
    assert example.name.isprintable()
    assert example.instance is None
    [turn] = turns_of([changed(1, FIRING, MUTED, "by\n/close")], NOW)
    assert turn.reason == "by /close"
