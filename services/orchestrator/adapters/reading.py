"""What Prometheus' answers mean: numbers, or in words why there is none. See "HTTP API" in Prometheus' documentation."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from services.orchestrator.domain.alerts.labels import one_line
from services.orchestrator.domain.evidence.evidence import Cause, NoAnswer, Sample

MAX_REPEATED = 300
"""Characters of Prometheus' own words."""

Stamp = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]
Pair = tuple[Stamp, float]


class _Data(BaseModel):
    kind: Literal["matrix", "vector", "scalar", "string"] = Field(alias="resultType")
    result: list[Any]


class _Answer(BaseModel):
    status: Literal["success", "error"]
    data: _Data | None = None
    kind: str = Field(default="", alias="errorType")
    error: str = ""


class _Series(BaseModel):
    """A series of a vector has one `value`, one of a matrix has `values`, one of native histograms has none of them."""

    value: Pair | None = None
    values: list[Pair] = []


_SERIES, _PAIR = TypeAdapter(list[_Series]), TypeAdapter(Pair)


def read_window(status: int, body: bytes) -> Sequence[Sample] | NoAnswer:
    """The samples of the one series that `query_range` answered."""
    data = _data(status, body)
    if isinstance(data, NoAnswer):
        return data
    if data.kind != "matrix":
        return _garbage(f"a {data.kind} to a range query")
    series = _one(data)
    if isinstance(series, NoAnswer):
        return series
    samples = [_sample(pair) for pair in series.values]
    return _not_a_number("a histogram") if not samples else next(filter(None, map(_unusable, samples)), None) or samples


def read_latest(status: int, body: bytes) -> Sample | NoAnswer:
    """The one number that `query` answered."""
    data = _data(status, body)
    if isinstance(data, NoAnswer):
        return data
    if data.kind == "matrix":
        return _matrix()
    if data.kind == "string":
        return _not_a_number("a string")
    pair = _scalar(data) if data.kind == "scalar" else _only(data)
    if isinstance(pair, NoAnswer):
        return pair
    return _unusable(_sample(pair)) or _sample(pair)


def _data(status: int, body: bytes) -> _Data | NoAnswer:
    if status in {401, 403}:
        known = "prometheus.token_file, or username and password_file, must hold what it knows"
        return NoAnswer(Cause.UNAUTHORIZED, f"Prometheus lets nobody in with these credentials ({status}); {known}")
    if 300 <= status < 400:
        return _garbage(f"a redirect ({status}), which is not followed; prometheus.url must be the final address")
    answer = _parsed(body)
    if answer is None and status >= 500:
        return NoAnswer(Cause.UNREACHABLE, f"expected an answer of Prometheus, got a server's error ({status})")
    if answer is None:
        return _garbage(f"something else ({status}); is prometheus.url right?")
    if answer.status == "error" or answer.data is None:
        return _error(answer)
    return answer.data


def _parsed(body: bytes) -> _Answer | None:
    try:
        return _Answer.model_validate_json(body)
    except ValidationError:
        return None


def _error(answer: _Answer) -> NoAnswer:
    said = one_line(answer.error, MAX_REPEATED) or "no reason"
    if "range vector" in said and "for range query" in said:
        return _matrix()
    if answer.kind in {"bad_data", "execution"}:
        return NoAnswer(Cause.BAD_QUERY, f"Prometheus refuses the query: {said}")
    if answer.kind in {"timeout", "canceled"}:
        return NoAnswer(Cause.TIMEOUT, f"Prometheus gave the query up: {said}; ask for less, or use a recording rule")
    return NoAnswer(Cause.UNREACHABLE, f"Prometheus cannot answer now: {said}")


def _one(data: _Data) -> _Series | NoAnswer:
    try:
        series = _SERIES.validate_python(data.result)
    except ValidationError:
        return _garbage("series without numbers")
    if not series:
        hint = "if that means zero, write: … or vector(0)"
        return NoAnswer(Cause.NO_DATA, f"expected one number, Prometheus has no data for the query; {hint}")
    if len(series) > 1:
        return NoAnswer(Cause.MANY_SERIES, "expected one number, Prometheus answered several series; wrap it, e.g. sum(…)")
    return series[0]


def _only(data: _Data) -> Pair | NoAnswer:
    series = _one(data)
    if isinstance(series, NoAnswer):
        return series
    return series.value or _not_a_number("a histogram")


def _scalar(data: _Data) -> Pair | NoAnswer:
    try:
        return _PAIR.validate_python(tuple(data.result))
    except ValidationError:
        return _garbage("a scalar without a number")


def _sample(pair: Pair) -> Sample:
    return datetime.fromtimestamp(pair[0], UTC), pair[1]


def _unusable(sample: Sample) -> NoAnswer | None:
    at, value = sample
    if math.isfinite(value):
        return None
    return _not_a_number(f"{_written(value)} at {at:%H:%M:%S} UTC", "; was there nothing to divide by?")


def _written(value: float) -> str:
    """As Prometheus writes it."""
    return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")


def _matrix() -> NoAnswer:
    return NoAnswer(Cause.MATRIX, "expected one number, Prometheus answered a range vector; wrap it, e.g. rate(…)")


def _not_a_number(what: str, hint: str = "") -> NoAnswer:
    return NoAnswer(Cause.NOT_A_NUMBER, f"expected one number, Prometheus answered {what}{hint}")


def _garbage(what: str) -> NoAnswer:
    return NoAnswer(Cause.GARBAGE, f"expected an answer of Prometheus, got {what}")
