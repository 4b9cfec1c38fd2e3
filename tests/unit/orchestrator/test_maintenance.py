"""Which maintenance an alert is expected in, and until when."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.matching import selector
from services.orchestrator.domain.alerts.maintenance import Maintenance, covering
from services.windows import Window
from tests.builders import NOW

HOUR = timedelta(hours=1)
DB = {"alertname": "Down", "service": "db", "env": "gprd"}


def planned(name: str, *match: str, since: timedelta = -HOUR, lasts: timedelta = 2 * HOUR) -> Maintenance:
    return Maintenance(name, name, selector(match), Window.parse(starts=NOW + since, duration=lasts))


def test_nothing_planned_covers_nothing() -> None:
    assert covering((), DB, NOW) is None


def test_an_alert_is_covered_when_labels_and_time_agree() -> None:
    upgrade = planned("upgrade", 'service="db"', 'env=~"g.*"')
    assert covering([upgrade], DB, NOW) == (upgrade, NOW + HOUR)
    assert covering([upgrade], DB | {"service": "web"}, NOW) is None
    assert covering([upgrade], DB | {"env": "staging"}, NOW) is None
    assert covering([upgrade], DB, NOW - HOUR) == (upgrade, NOW + HOUR)
    assert covering([upgrade], DB, NOW + HOUR) is None


def test_of_several_the_one_that_lasts_longest_counts() -> None:
    short, long, over = (planned(f"{lasts}", 'service="db"', lasts=lasts * HOUR) for lasts in (2, 5, 1))
    elsewhere = planned("elsewhere", 'service="web"', lasts=9 * HOUR)
    assert covering([short, elsewhere, long, over], DB, NOW) == (long, NOW + 4 * HOUR)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 9), st.sampled_from(["db", "web"]))))
def test_an_alert_is_covered_exactly_as_long_as_something_covers_it(windows: list[tuple[int, int, str]]) -> None:
    plans = [
        planned(str(index), f'service="{name}"', since=HOUR * a, lasts=HOUR * b) for index, (a, b, name) in enumerate(windows)
    ]
    ends = [NOW + HOUR * (a + b) for a, b, name in windows if name == "db" and a <= 0 < a + b]
    found = covering(plans, DB, NOW)
    assert (found and found[1]) == max(ends, default=None)
