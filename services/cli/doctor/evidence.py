"""Prometheus: each query of the configuration is asked once."""

import asyncio
from collections.abc import Iterator, Sequence

from services.cli.doctor.finding import Finding, fail, ok, warn
from services.config import ConfigFile
from services.orchestrator.domain.evidence.evidence import Cause, SloState, Subject
from services.orchestrator.handlers.evidence import ask
from services.orchestrator.watchfile import watch_of
from services.runtime.clock import Clock

CHECK = "prometheus"
_HINTS = {
    Cause.UNREACHABLE: "Does Prometheus run there? Until it answers, service levels are unknown.",
    Cause.TIMEOUT: "Ask for less, use a recording rule, or give it more time by prometheus.timeout.",
    Cause.UNAUTHORIZED: "Put what Prometheus wants to see into the file that prometheus.token_file or password_file names.",
    Cause.NO_DATA: "Has it been measured for long enough? Until it is, the level is unknown.",
}
_MEND = "Mend the query; until then the level is unknown."

Asked = tuple[Subject, SloState, Cause | None]


async def prometheus(file: ConfigFile | None) -> list[Finding]:
    """One line if all are answered, else one for each kind of trouble, with the place in the file."""
    if file is None:
        return [warn(CHECK, "not checked", "Mend the configuration first.")]
    watch, now = watch_of(file), Clock().now()
    if watch.connect is None:
        return [ok(CHECK, "not configured, service levels are not looked at")]
    if not watch.subjects:
        return [warn(CHECK, "configured, but there is nothing to ask", "Add slos and saturation to the configuration.")]
    async with watch.connect() as source:
        told = await asyncio.gather(*(ask(source, subject, now) for subject in watch.subjects))
    asked = [(subject, state, cause) for subject, (state, cause) in zip(watch.subjects, told, strict=True)]
    answered = sum(cause is None for _, _, cause in asked)
    everything = f"{answered} of {len(asked)} queries are answered with a number"
    return list(_troubles(asked)) or [ok(CHECK, everything)]


def _troubles(asked: Sequence[Asked]) -> Iterator[Finding]:
    """What several have in common is said once."""
    found: dict[str, list[tuple[Subject, Cause]]] = {}
    for subject, state, cause in asked:
        if cause is not None:
            said = state.sentence.removeprefix(f"{subject.name}: ").removesuffix(" (unknown)")
            found.setdefault(said, []).append((subject, cause))
    for said, those in found.items():
        (subject, cause), *more = those
        others = f" (and {len(more)} more)" if more else ""
        kind = warn if cause is Cause.NO_DATA else fail
        yield kind(CHECK, f"{subject.place}: {subject.name}{others}: {said}", _HINTS.get(cause, _MEND))
