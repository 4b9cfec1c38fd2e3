"""What fires and what is open, in aggregates: a storm of firings is a few rows here."""

from sqlalchemy import ColumnElement, and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.incidents import Incident
from schemas.vocabulary import Action, FiringState, IncidentState, Severity
from services.orchestrator.domain.evidence.picture import OpenIncident, Tally
from services.orchestrator.store.tables import OPEN_STATES, firings, incidents

_WORST_FIRST = (incidents.c.severity, incidents.c.number.desc())


def _service() -> ColumnElement[str]:
    """As `policy.service_of`: the label `service`, else what stands in for it."""
    names = ("service", "job", "alertname")
    return func.coalesce(*(func.nullif(firings.c.labels[name].as_string(), "") for name in names))


async def tallies(connection: AsyncConnection) -> list[Tally]:
    """The firings that are not over, counted by service, state, severity and open incident.

    What a rule ignores is no sign of anything, nor is what a maintenance window covers now: it was expected.
    """
    service = _service().label("service")
    expected = (firings.c.rule == "maintenance") & firings.c.recheck_at.is_not(None) & firings.c.incident.is_(None)
    held = and_(incidents.c.id == firings.c.incident, text(f"incidents.{OPEN_STATES}"))
    query = (
        select(
            service,
            firings.c.state,
            firings.c.severity,
            incidents.c.id,
            func.count().label("number"),
            func.min(firings.c.starts_at).label("oldest"),
        )
        .select_from(firings.outerjoin(incidents, held))
        .where(firings.c.ends_at.is_(None) & (firings.c.action != Action.IGNORE) & ~expected)
        .group_by(service, firings.c.state, firings.c.severity, incidents.c.id)
    )
    return [
        Tally(
            service=row.service,
            state=FiringState(row.state),
            severity=Severity(row.severity) if row.severity else None,
            incident=row.id,
            count=row.number,
            oldest=row.oldest,
        )
        for row in await connection.execute(query)
    ]


async def open_incidents(connection: AsyncConnection) -> list[OpenIncident]:
    """All of them, the worst first, of equal ones the newest."""
    query = (
        select(
            incidents.c.id,
            incidents.c.state,
            incidents.c.severity,
            incidents.c.body["services"].label("services"),
            incidents.c.body["environment"].as_string().label("environment"),
            incidents.c.body["drill"].as_boolean().label("drill"),
        )
        .where(text(OPEN_STATES))
        .order_by(*_WORST_FIRST)
    )
    return [
        OpenIncident(row.id, IncidentState(row.state), Severity(row.severity), tuple(row.services), row.environment, row.drill)
        for row in await connection.execute(query)
    ]


async def worst_incidents(connection: AsyncConnection, limit: int) -> list[Incident]:
    """So many open incidents whole, in the same order."""
    query = select(incidents.c.body).where(text(OPEN_STATES)).order_by(*_WORST_FIRST).limit(limit)
    return [Incident.model_validate(row.body) for row in await connection.execute(query)]
