"""One condition on one label."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import eq, ne

from services.matching.errors import refuse_broken
from services.matching.expression import check_expression, fits
from services.matching.quoting import needs_quotes, quote


class Op(StrEnum):
    """How a label is compared with a matcher's value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"

    @property
    def is_expression(self) -> bool:
        """Whether the value is a regular expression."""
        return self in (Op.MATCH, Op.NOT_MATCH)


def _misfits(pattern: str, value: str) -> bool:
    return not fits(pattern, value)


_COMPARE: dict[Op, Callable[[str, str], bool]] = {Op.EQUAL: eq, Op.NOT_EQUAL: ne, Op.MATCH: fits, Op.NOT_MATCH: _misfits}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One that exists can be asked and written: making it raises `MatcherError` for an expression that RE2 refuses."""

    name: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        refuse_broken(self.name)
        refuse_broken(self.value)
        if self.op.is_expression:
            check_expression(self.value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the label fits; a missing label counts as empty."""
        return _COMPARE[self.op](self.value, labels.get(self.name, ""))

    def __str__(self) -> str:
        """The one way of writing it that both parsers of Alertmanager read as this matcher, where they can read it at all."""
        name = quote(self.name) if needs_quotes(self.name) else self.name
        return f"{name}{self.op}{quote(self.value)}"


def written(matchers: tuple[Matcher, ...]) -> str:
    """All of them as one text: `{a="b",c=~"d"}`."""
    return f"{{{','.join(map(str, matchers))}}}"
