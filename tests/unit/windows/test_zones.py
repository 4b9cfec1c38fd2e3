"""Zones by their names, and what their clocks show."""

import pytest

from services.windows import WindowError
from services.windows.zones import zone_of


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+2"])
def test_a_zone_is_found_by_its_name(name: str) -> None:
    assert zone_of(name).key == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_misspelt_zone_is_told_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(WindowError, match=f"did you mean '{near}'"):
        zone_of(name)


@pytest.mark.parametrize(
    "name", ["", "CEST", "GMT+2", "../../etc/passwd", "/etc/localtime", "localtime", "Europe", "\x00", "x" * 9999, 5]
)
def test_what_is_no_zone_is_refused_without_a_guess(name: object) -> None:
    with pytest.raises(WindowError) as refused:
        zone_of(name)
    assert refused.value.field == "zone"
    assert "expected a name like 'Europe/Berlin'" in str(refused.value)
    assert "did you mean" not in str(refused.value)
    assert len(str(refused.value)) < 300
