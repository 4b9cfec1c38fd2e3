"""Which open incidents a service level belongs to: judged by what is known of an incident, its services and its environment."""

from collections.abc import Iterator, Sequence
from itertools import islice

from schemas.vocabulary import Severity
from services.matching import Matcher
from services.orchestrator.domain.evidence.evidence import Slo, SloState
from services.orchestrator.domain.evidence.picture import OpenIncident, Picture

_SERVICE, _ENVIRONMENT = ("service", "job", "alertname"), ("env", "environment", "cluster")
"""Labels that tell a service, or an environment; each stands in for the one before it."""
MOST = 10
"""So many incidents of a service level are named."""


def covering(slo: Slo, state: SloState, picture: Picture) -> tuple[str, ...]:
    """The open incidents that are about the service level, if it needs one."""
    if not state.suspect.bad:
        return ()
    severity = slo.severity.get(state.suspect, Severity.S2)
    return tuple(incident.id for incident in islice(_about(slo, severity, picture), MOST))


def service_of_slo(slo: Slo) -> str | None:
    """The service that it measures, when its matchers say so plainly."""
    name = _first(slo, _SERVICE)
    return slo.selector.literals.get(name) if name else None


def _about(slo: Slo, severity: Severity, picture: Picture) -> Iterator[OpenIncident]:
    """One for no service in particular belongs to any incident that is as severe."""
    of_service, of_environment = _matchers(slo, _SERVICE), _matchers(slo, _ENVIRONMENT)
    plain = service_of_slo(slo)
    for incident in picture.real if plain is None else picture.naming.get(plain, ()):
        if incident.environment is not None and not _all(of_environment, incident.environment):
            continue
        named = any(_all(of_service, service) for service in incident.services)
        if named if of_service else not severity.outranks(incident.severity):
            yield incident


def _first(slo: Slo, names: Sequence[str]) -> str | None:
    """The first of the names on which there is a matcher."""
    known = {matcher.name for matcher in slo.selector.matchers}
    return next((name for name in names if name in known), None)


def _matchers(slo: Slo, names: Sequence[str]) -> Sequence[Matcher]:
    name = _first(slo, names)
    return [matcher for matcher in slo.selector.matchers if matcher.name == name]


def _all(matchers: Sequence[Matcher], value: str) -> bool:
    return all(matcher.matches({matcher.name: value}) for matcher in matchers)
