"""What docs/policy.md shows is a policy, and comes out as it says."""

import re
from pathlib import Path

import pytest

from services.config import ConfigFile
from tests.unit.cli.conftest import invoke

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
POLICIES = [block for block in BLOCKS if "tests:" not in block]
TESTS = [block for block in BLOCKS if "tests:" in block]


@pytest.mark.parametrize("block", POLICIES, ids=lambda block: block.split(":")[0])
def test_each_part_of_a_policy_loads_without_a_warning(block: str, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text(block)
    assert ConfigFile.open(tmp_path / "tocsin.yaml").warnings == ()


@pytest.mark.parametrize("block", TESTS, ids=range(len(TESTS)))
def test_its_test_passes_under_the_defaults(block: str, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("{}\n")
    (tmp_path / "policy-tests.yaml").write_text(block)
    outcome = invoke("policy", "test", str(tmp_path / "policy-tests.yaml"))
    assert outcome.status == 0, outcome.out + outcome.err


def test_the_list_at_its_top_names_its_sections_in_their_order() -> None:
    text = PAGE.read_text()
    listed = re.findall(r"^- \[(.+)\]\(#.+\)$", text, re.MULTILINE)
    assert listed == re.findall(r"^## (.+)$", text, re.MULTILINE)
