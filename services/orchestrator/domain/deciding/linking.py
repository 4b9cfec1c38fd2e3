"""What an incident is told of the alerts that join or leave it: counts, the worst severity with its reason, links, examples."""

from collections.abc import Iterable, Sequence

from schemas.incidents import MAX_EXAMPLES, MAX_LINKS, MAX_SERVICE, MAX_SERVICES, MAX_TITLE, MAX_URL, AlertExample
from schemas.vocabulary import FiringState, worst
from services.orchestrator.domain.alerts.firings import Firing
from services.orchestrator.domain.alerts.labels import one_line, service_of
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.evolve import merged_links
from services.orchestrator.domain.policy.severity import Found


def attach(began: Sequence[tuple[Firing, Found]], floor: bool) -> ask.Attach:
    """The command that links these firings. What rules found binds the incident, with `floor` what labels say as well."""
    firings = [firing for firing, _ in began]
    states = [firing.state for firing in firings]
    at_least = worst(firing.severity for firing, found in began if floor or found.rule)
    why = next((found.why for _, found in began if found.rule and found.severity is at_least), None)
    return ask.Attach(
        count=len(firings),
        gating=sum(firing.gating for firing in firings),
        severity=worst(firing.severity for firing in firings),
        services=_services(firings),
        links=_links(firings),
        examples=examples(firings),
        at_least=at_least,
        why=why,
        muted=states.count(FiringState.MUTED),
        stale=states.count(FiringState.STALE),
    )


def detach(ended: Sequence[tuple[Firing, FiringState]]) -> ask.Detach:
    """The command for firings that ended, with the state that each was in before."""
    firings, states = [firing for firing, _ in ended], [state for _, state in ended]
    return ask.Detach(
        count=len(firings),
        gating=sum(firing.gating for firing in firings),
        examples=examples(firings),
        muted=states.count(FiringState.MUTED),
        stale=states.count(FiringState.STALE),
    )


def revive(firings: Sequence[Firing]) -> ask.Restate:
    """The command for stale firings that are heard of again."""
    gating = sum(firing.gating for firing in firings)
    return ask.Restate(FiringState.STALE, FiringState.FIRING, len(firings), examples(firings), gating)


def why_over(ended: int, anew: int) -> str:
    """Why alerts count as over of which some only began anew."""
    reported = ["Alertmanager reports them resolved."] if ended > anew else []
    return " ".join(reported + ([f"{anew} that had not been heard of for long began anew."] if anew else []))


def title(firing: Firing) -> str:
    """What an incident is called that this alert opens."""
    given = next((firing.annotations[name] for name in ("title", "summary") if firing.annotations.get(name)), None)
    service = service_of(firing.labels)
    plain = firing.name if service in {None, firing.name} else f"{firing.name} on {service}"
    return one_line(given or "", MAX_TITLE) or one_line(plain, MAX_TITLE) or "Unnamed alert"


def _services(firings: Iterable[Firing]) -> tuple[str, ...]:
    names = dict.fromkeys(service_of(firing.labels) for firing in firings)
    return tuple(one_line(name, MAX_SERVICE) for name in names if name)[:MAX_SERVICES]


_LINKS = {"runbook": ("runbook_url", "runbook"), "dashboard": ("dashboard_url", "dashboard")}


def _links(firings: Iterable[Firing]) -> dict[str, str]:
    links: dict[str, str] = {}
    for firing in firings:
        links = merged_links(links, _links_of(firing))
        if len(links) >= MAX_LINKS:
            break
    return links


def _links_of(firing: Firing) -> dict[str, str]:
    given = {
        name: next((firing.annotations[key] for key in keys if firing.annotations.get(key)), "") for name, keys in _LINKS.items()
    }
    candidates = given | {"source": firing.generator_url}
    return {name: url for name, url in candidates.items() if _is_link(url)}


def _is_link(url: str) -> bool:
    """Whether it is a web address that can be shown: http or https, printable, no spaces, not overlong."""
    return url.startswith(("http://", "https://")) and len(url.encode()) <= MAX_URL and url.isprintable() and " " not in url


def examples(firings: Sequence[Firing]) -> tuple[AlertExample, ...]:
    """Enough of the first twenty to recognise them."""
    return tuple(example(firing) for firing in firings[:MAX_EXAMPLES])


def example(firing: Firing) -> AlertExample:
    return AlertExample(
        fingerprint=firing.fingerprint,
        name=one_line(firing.name, 100),
        severity=firing.severity,
        instance=one_line(firing.labels.get("instance", ""), 100) or None,
    )
