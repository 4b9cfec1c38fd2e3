"""Which rule certainly leaves nothing to another one."""

import pytest

from services.config import Rule, SeverityRule
from services.config.reach import Nearby, covers, hides, outdoes


def rule(*match: str, severity: list[str] | None = None) -> Rule:
    return Rule.model_validate({"name": "x", "match": list(match), "action": "record", "severity": severity})


class TestHides:
    """The earlier rule is written first."""

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            ([], ['env="dev"']),
            (['env="dev"'], ['env="dev"']),
            (['env="dev"'], ['team="a"', 'env="dev"']),
            (['env=~"dev|test"'], ['env="dev"']),
            (['env=~"d.*"'], ['env="dev"']),
            (['env=~"d.*"'], ['env=~"dev|demo"']),
            (['env=~".*-.*"'], ['env=~".*-.*"']),
            (['env!="prd"'], ['env="dev"']),
            (['env!="prd"'], ['env=~"d.*"']),
            (['env!="prd"'], ['env!~"p.*"']),
            (['env!=""'], ['env=~".+"']),
            (['env!~"prd|stg"'], ['env="dev"']),
            (['env!~"prd|stg"'], ['env!="prd"', 'env!="stg"']),
            (['env!~"p.*"'], ['env="dev"']),
            (['env=""'], ['env=""']),
            (["{}"], ["a=b"]),
        ],
    )
    def test_what_is_for_all_of_its_alerts(self, earlier: list[str], later: list[str]) -> None:
        assert hides(rule(*earlier), rule(*later))

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            (['env="dev"'], []),
            (['env="dev"'], ['team="a"']),
            (['env="dev"'], ['env=~"dev|test"']),
            (['env="dev"', 'team="a"'], ['env="dev"']),
            (['env=~"d.*"'], ['env=~"d.+"']),
            (['env=~"d.*"'], ['env=~"d(ev|emo)"']),
            (['env=~"d.*"'], ['env=~"dev|.*"']),
            (['env!="prd"'], ['env=~"p.*"']),
            (['env!="prd"'], ['team="a"']),
            (['env!~"p.*"'], ['env=~"d.*"']),
            (['env=~".*"'], []),
        ],
    )
    def test_what_may_leave_something(self, earlier: list[str], later: list[str]) -> None:
        assert not hides(rule(*earlier), rule(*later))

    @pytest.mark.parametrize(
        ("earlier", "later", "hidden"),
        [
            (None, ["S1"], True),
            (["S1", "S2"], ["S2"], True),
            (["S1", "S2", "S3", "S4", "unknown"], None, True),
            (["S1", "S2", "S3", "S4"], None, False),
            (["S2"], ["S1", "S2"], False),
            (["S1"], ["unknown"], False),
        ],
    )
    def test_severities_count(self, earlier: list[str] | None, later: list[str] | None, hidden: bool) -> None:
        assert hides(rule(severity=earlier), rule("a=b", severity=later)) is hidden

    def test_it_asks_for_matchers_only_where_severities_do_not_exist(self) -> None:
        assert covers(rule(severity=["S1"]), rule("a=b"))


class TestNearby:
    """Which rules have to be compared."""

    RULES = (rule('a="1"'), rule('a=~"1|2"'), rule('b="1"', 'a="2"'), rule(), rule('a="2"'), rule('a!="3"'))

    @pytest.mark.parametrize(
        ("match", "near"),
        [
            ([], [1, 3, 5]),
            (['a="1"'], [0, 1, 3, 5]),
            (['a=~"1|2"'], [0, 1, 3, 4, 5]),
            (['a=~"1.*"'], [1, 3, 5]),
            (['b="1"'], [1, 2, 3, 5]),
        ],
    )
    def test_those_that_name_the_value_and_those_that_want_none(self, match: list[str], near: list[int]) -> None:
        assert Nearby(self.RULES).of(rule(*match)) == near


def raising(severity: str, *match: str, breadth: int | None = None, persists: str | None = None) -> SeverityRule:
    wide = {"at_least": breadth} if breadth else None
    given = {"name": "x", "match": list(match), "severity": severity, "breadth": wide, "persists": persists}
    return SeverityRule.model_validate(given)


class TestOutdoes:
    """The better rule is written first."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (raising("S1"), raising("S2", "a=b")),
            (raising("S2"), raising("S2")),
            (raising("S1"), raising("S2", breadth=3, persists="5m")),
            (raising("S1", persists="5m"), raising("S2", "a=b", breadth=3, persists="5m")),
            (raising("S1", breadth=3), raising("S2", breadth=3)),
        ],
    )
    def test_what_holds_whenever_the_other_does_and_is_as_severe(self, one: SeverityRule, other: SeverityRule) -> None:
        assert outdoes(one, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (raising("S2"), raising("S1", "a=b")),
            (raising("S1", "a=b"), raising("S2")),
            (raising("S1", breadth=3), raising("S2")),
            (raising("S1", breadth=4), raising("S2", breadth=3)),
            (raising("S1", persists="5m"), raising("S2", persists="4m")),
        ],
    )
    def test_what_may_not(self, one: SeverityRule, other: SeverityRule) -> None:
        assert not outdoes(one, other)
