"""The legal changes of an incident's state, and nothing else."""

from enum import StrEnum

from schemas.vocabulary import IncidentState as S


class Step(StrEnum):
    """What moves an incident from one state to another."""

    PROMOTE = "promote"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    DISMISS = "dismiss"
    MERGE = "merge"


TRANSITIONS: dict[tuple[S, Step], S] = {
    (S.TRIAGE, Step.PROMOTE): S.ACTIVE,
    (S.TRIAGE, Step.DISMISS): S.DISMISSED,
    (S.TRIAGE, Step.MERGE): S.MERGED,
    (S.ACTIVE, Step.MITIGATE): S.MITIGATED,
    (S.ACTIVE, Step.RESOLVE): S.RESOLVED,
    (S.ACTIVE, Step.DISMISS): S.DISMISSED,
    (S.ACTIVE, Step.MERGE): S.MERGED,
    (S.MITIGATED, Step.RESOLVE): S.RESOLVED,
    (S.MITIGATED, Step.REOPEN): S.ACTIVE,
    (S.MITIGATED, Step.MERGE): S.MERGED,
    (S.RESOLVED, Step.REOPEN): S.ACTIVE,
    (S.DISMISSED, Step.REOPEN): S.ACTIVE,
}


def steps_from(state: S) -> list[Step]:
    """What can be done in a state, for the one who was refused."""
    return [step for (before, step) in TRANSITIONS if before is state]
