"""What Prometheus can tell beside the alerts: SLOs and saturation."""

from typing import Annotated

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from schemas.vocabulary import Severity
from services.config.matching import Match, Matched
from services.config.values import Name, Number, Url, either
from services.runtime.durations import Duration, between, parse_duration
from services.runtime.yamlfile import Section

Query = Annotated[str, Field(min_length=1, max_length=10_000)]


class Threshold(Section):
    """A line, and the side of it that is bad: either `above` or `below`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": either("above", "below", "number")})

    above: Number | None = None
    """Bad is what lies above this."""
    below: Number | None = Field(default=None, validate_default=True)
    """Bad is what lies below this."""

    @field_validator("below")
    @classmethod
    def _one_side(cls, below: float | None, info: ValidationInfo) -> float | None:
        if "above" in info.data and (below is None) == (info.data["above"] is None):
            raise ValueError("expected either above or below")
        return below


class SloSeverity(Section):
    """How severe an incident is at least while the SLO is missed."""

    degraded: Severity = Severity.S2
    """While it is degraded."""
    outage: Severity = Severity.S1
    """While it is out."""

    @field_validator("outage")
    @classmethod
    def _not_milder(cls, outage: Severity, info: ValidationInfo) -> Severity:
        degraded = info.data.get("degraded")
        if degraded is not None and degraded.outranks(outage):
            raise ValueError(f"{outage} is milder than {degraded} for degraded; expected one at least as severe")
        return outage


class Slo(Matched):
    """A service-level objective: a query that gives one number, and the lines it must not cross for long."""

    match: Match = Field(min_length=1)
    """Which alerts it is evidence for: those of the same service, usually."""
    query: Query
    """PromQL that gives one number, like a ratio of errors."""
    degraded: Threshold
    """Beyond this line the service is degraded."""
    outage: Threshold
    """Beyond this line it is out; on the same side, and further."""
    sustained: Annotated[Duration, between("1m", "1d")] = Field(default=parse_duration("5m"), alias="for")
    """How long the number must lie beyond a line to count; 1m to 1d."""
    severity: SloSeverity = SloSeverity()
    """How severe an incident is at least meanwhile."""
    dashboard: Url | None = None
    """The page that shows more."""

    @field_validator("outage")
    @classmethod
    def _beyond(cls, outage: Threshold, info: ValidationInfo) -> Threshold:
        degraded = info.data.get("degraded")
        if degraded is not None:
            _check_beyond(degraded, outage)
        return outage


def _check_beyond(degraded: Threshold, outage: Threshold) -> None:
    if outage.above is not None:
        beyond = degraded.above is not None and outage.above > degraded.above
    else:
        beyond = degraded.below is not None and outage.below is not None and outage.below < degraded.below
    if not beyond:
        line = f"below {degraded.below}" if degraded.above is None else f"above {degraded.above}"
        raise ValueError(f"expected to lie beyond degraded ({line}), and on the same side of it")


class Saturation(Threshold):
    """A resource that is used up when the number of the query lies beyond the line."""

    name: Name
    """How messages call it; each name once."""
    query: Query
    """PromQL that gives one number, like a share of what there is."""
    dashboard: Url | None = None
    """The page that shows more."""
