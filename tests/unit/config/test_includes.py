"""A policy of several files: what they say together, and where each of it stands."""

from pathlib import Path

import pytest

from services.config import ConfigFile
from services.config.includes import MOST_FILES
from services.runtime.errors import ConfigError


class Folder:
    """The files of a policy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, **files: str) -> "Folder":
        """Write files; `policies__a` is `policies/a.yaml`."""
        for name, text in files.items():
            path = self.path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return self

    def open(self) -> ConfigFile:
        return ConfigFile.open(self.path / "tocsin.yaml")

    def faults(self) -> list[str]:
        """What is wrong, one line each, without the folder's name."""
        with pytest.raises(ConfigError) as caught:
            self.open()
        return [str(fault).replace(f"{self.path}/", "") for fault in caught.value.faults]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def rule(*names: str) -> str:
    return "rules:\n" + "".join(f"  - {{name: {name}, action: record}}\n" for name in names)


class TestTogether:
    """What several files say."""

    def test_lists_are_appended_and_mappings_merged(self, folder: Folder) -> None:
        folder(
            tocsin="include: [policies/*.yaml]\nseverity: {map: {page: S1}}\n" + rule("main"),
            policies__b="severity: {map: {ticket: S4}, floor: false}\ndependencies: {web: [db]}\n" + rule("b1", "b2"),
            policies__a="severity: {label: level}\ndependencies: {db: [disk]}\n" + rule("a"),
        )
        given = folder.open().config
        assert [each.name for each in given.rules] == ["main", "a", "b1", "b2"]
        assert (given.severity.label, given.severity.floor) == ("level", False)
        assert given.severity.map == {"page": "S1", "ticket": "S4"}
        assert given.dependencies == {"web": ["db"], "db": ["disk"]}

    def test_files_come_in_the_order_of_the_list_and_each_once(self, folder: Folder) -> None:
        folder(tocsin="include: [z.yaml, '*.yaml', a.yaml]\n", z=rule("z"), a=rule("a"), b=rule("b"))
        found = folder.open()
        assert [each.name for each in found.config.rules] == ["z", "a", "b"]
        assert [path.name for path in found.files] == ["tocsin.yaml", "z.yaml", "a.yaml", "b.yaml"]

    def test_a_pattern_looks_into_folders_and_not_at_hidden_files(self, folder: Folder) -> None:
        folder(tocsin="include: ['**/*.yaml']\n", one__a=rule("a"), two__b=rule("b"), two__empty="")
        folder(**{".hidden__c": rule("c"), "two__.draft": rule("d")})
        assert [each.name for each in folder.open().config.rules] == ["a", "b"]

    def test_a_pattern_may_find_nothing(self, folder: Folder) -> None:
        assert folder(tocsin="include: [policies/*.yaml]\n").open().config.rules == []

    def test_a_link_inside_the_folder_is_followed(self, folder: Folder) -> None:
        folder(tocsin="include: [policies/*.yaml]\n", data__a=rule("a"))
        (folder.path / "policies").symlink_to("data")
        assert [each.name for each in folder.open().config.rules] == ["a"]

    def test_an_anchor_stays_in_its_file(self, folder: Folder) -> None:
        folder(tocsin="include: [a.yaml]\ncorrelation: {by: &x [team]}\npeople: []\n", a="correlation: {by: [env]}\n")
        assert folder.open().config.correlation.by == ["team", "env"]
        folder(a="correlation: {by: *x}\n")
        assert folder.faults() == ["a.yaml:1:19: found undefined alias 'x'"]


class TestPlaces:
    """Each path remembers its file."""

    def test_a_fault_is_told_in_the_file_where_it_stands(self, folder: Folder) -> None:
        folder(
            tocsin="include: [a.yaml, b.yaml]\nrules:\n  - {name: x, action: opn}\n",
            a="rules:\n  - {name: y, action: record}\n  - {name: z, actin: record}\n",
            b="# words\n\nrules:\n  - name: x\n    action: record\ntimers:\n  quiet_period: soon\n",
        )
        assert [fault.split(": ")[:2] for fault in folder.faults()] == [
            ["tocsin.yaml:3:15", "rules.0.action"],
            ["a.yaml:3:5", "rules.2.action"],
            ["a.yaml:3:15", "rules.2.actin"],
            ["b.yaml:4:5", "rules.3.name"],
            ["b.yaml:7:3", "timers.quiet_period"],
        ]

    def test_a_place_can_be_asked_for(self, folder: Folder) -> None:
        slo = "{name: %s, match: a=b, query: q, degraded: {above: 1}, outage: {above: 2}}"
        folder(
            tocsin=f"include: [a.yaml]\nprometheus: {{url: 'http://x'}}\nslos:\n  - {slo % 'x'}\n",
            a=f"slos:\n\n  - {slo % 'y'}\n",
        )
        found = folder.open()
        assert found.place(("slos", 0, "query")) == f"{folder.path}/tocsin.yaml:4:27"
        assert found.place(("slos", 1, "query")) == f"{folder.path}/a.yaml:3:27"
        assert found.place(("slos", 1, "dashboard")) == f"{folder.path}/a.yaml:3:5"
        assert found.place(("slos", 7)) == f"{folder.path}/tocsin.yaml:3:1"
        assert found.place(("nothing",)) == f"{folder.path}/tocsin.yaml:1:1"

    @pytest.mark.parametrize(
        ("one", "other", "path"),
        [
            ("severity: {label: a}", "severity: {label: b}", "severity.label"),
            ("severity: {map: {x: S1}}", "severity: {map: {x: S1}}", "severity.map.x"),
            ("severity: {label: a}", "severity: 7", "severity"),
            ("rules: []", "rules: {}", "rules"),
            ("rules:", "rules: []", "rules"),
            ("dependencies: {web: x}", "dependencies: {web: [db]}", "dependencies.web"),
        ],
    )
    def test_what_two_files_say_names_both_places(self, folder: Folder, one: str, other: str, path: str) -> None:
        folder(tocsin=f"include: [a.yaml, b.yaml]\n{one}\n", a="{}", b=f"\n{other}\n")
        (fault,) = [fault for fault in folder.faults() if "two files" in fault]
        place, _, words = fault.partition(": ")
        assert place.startswith("b.yaml:2:")
        assert words.startswith(f"{path}: is given in two files, here and at tocsin.yaml:2:")


class TestRefused:
    """What cannot be included. The rest is checked all the same."""

    @pytest.mark.parametrize(
        "name", ["../x.yaml", "/etc/hosts", "a/../../x.yaml", "../*.yaml", "/etc/*", "out/x.yaml", "out/*.yaml"]
    )
    def test_what_leads_outside(self, folder: Folder, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "x.yaml").write_text("")
        (folder.path / "out").symlink_to(elsewhere)
        folder(tocsin=f"include:\n  - '{name}'\ntimers: {{quiet_period: soon}}\n")
        first, second = folder.faults()
        assert first.startswith("tocsin.yaml:2:5: include.0: '")
        assert first.endswith("' leads outside; expected a path inside the folder of this file, links resolved")
        assert second.startswith("tocsin.yaml:3:10: timers.quiet_period: ")

    def test_a_file_that_links_outside(self, folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.yaml"
        elsewhere.write_text("")
        (folder.path / "x.yaml").symlink_to(elsewhere)
        folder(tocsin="include: ['x.yaml', '*.yaml']\n")
        assert [fault.split(" leads ")[0] for fault in folder.faults()] == [
            "tocsin.yaml:1:11: include.0: 'x.yaml'",
            "tocsin.yaml:1:21: include.1: 'x.yaml'",
        ]

    def test_a_link_to_itself(self, folder: Folder) -> None:
        (folder.path / "x.yaml").symlink_to("x.yaml")
        (fault,) = folder(tocsin="include: [x.yaml]\n").faults()
        assert fault.startswith("tocsin.yaml:1:11: include.0: 'x.yaml' leads nowhere; expected a path")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("nowhere.yaml", "there is no nowhere.yaml; expected a file"),
            ("polices/team.yaml", "there is no polices/team.yaml; expected a file"),
            ("policies/tean.yaml", "there is no policies/tean.yaml; expected a file; did you mean 'team.yaml'?"),
            ("policies", "policies is not a file; expected one"),
            ("tocsin.yaml", "this is the file itself; expected another one"),
            ("./policies/../tocsin.yaml", "'./policies/../tocsin.yaml' leads outside; expected a path"),
            ("**x/*.yaml", "Invalid pattern"),
            ("", " is not a file; expected one"),
        ],
    )
    def test_what_is_not_there(self, folder: Folder, name: str, words: str) -> None:
        folder(tocsin=f"include: ['{name}']\n", policies__team="")
        assert any(fault.startswith("tocsin.yaml:1:11: include.0: ") and words in fault for fault in folder.faults())

    def test_what_cannot_be_read(self, folder: Folder) -> None:
        folder(tocsin="include: ['*.yaml']\n", a="a: [\n", b="rules: 7\n", c="")
        (folder.path / "c.yaml").write_bytes(b"caf\xe9")
        assert [fault.partition(": ")[0] for fault in folder.faults()] == ["a.yaml:2:1", "b.yaml:1:1", "c.yaml:1:4"]

    def test_what_depends_on_a_file_that_cannot_be_read_is_not_told(self, folder: Folder) -> None:
        token = f"{{name: x, sha256: {'ab' * 32}, scopes: [read], person: ann}}"
        folder(tocsin=f"include: [people.yaml]\naccess: {{tokens: [{token}, {token}]}}\n", people="people: [\n")
        assert [fault.split(": ")[1] for fault in folder.faults()] == [
            "access.tokens.1.name",
            "expected the node content, but found '<stream end>'",
        ]

    @pytest.mark.parametrize("name", ["x" * 300, "x\\0", "\\ud800"])
    def test_what_can_be_no_name(self, folder: Folder, name: str) -> None:
        folder(tocsin=f'include: ["{name}"]\ntimers: {{quiet_period: soon}}\n')
        faults = folder.faults()
        assert faults[0].startswith("tocsin.yaml:1:11: include.0: ")
        assert faults[-1].startswith("tocsin.yaml:2:10: timers.quiet_period: ")

    @pytest.mark.parametrize("text", ["- a\n", "words", "7", "[]", "''", "0"])
    def test_what_is_no_mapping(self, folder: Folder, text: str) -> None:
        (fault,) = folder(tocsin="include: [a.yaml]\n", a=text).faults()
        assert fault == "a.yaml:1:1: the file: expected a mapping with sections of a policy"

    def test_what_is_included_includes_nothing(self, folder: Folder) -> None:
        folder(tocsin="include: [a.yaml]\n", a="timers: {}\ninclude: [b.yaml]\n", b="")
        assert folder.faults() == ["a.yaml:2:1: include: an included file includes nothing; expected this in the main file"]

    @pytest.mark.parametrize("text", ["a.yaml", "{a: b}", "7", "[7]", "[[a]]"])
    def test_an_include_that_is_no_list_of_names(self, folder: Folder, text: str) -> None:
        (fault,) = folder(tocsin=f"include: {text}\n", a="").faults()
        assert fault.startswith("tocsin.yaml:1:")
        assert "Input should be a valid" in fault

    def test_a_pattern_that_finds_far_too_much(self, folder: Folder) -> None:
        folder(tocsin="include: ['*.yaml']\n")
        for number in range(MOST_FILES):
            (folder.path / f"{number}.yaml").touch()
        assert folder.faults() == [f"tocsin.yaml:1:11: include.0: '*.yaml' finds 1001 files; expected at most {MOST_FILES}"]


class TestHash:
    """It changes with every file."""

    def test_a_changed_include_changes_it(self, folder: Folder) -> None:
        folder(tocsin="include: ['*.yaml']\n", a="# one\n")
        first = folder.open().hash
        assert folder.open().hash == first
        assert folder(a="# two\n").open().hash != first

    def test_what_stands_in_which_file_is_part_of_it(self, folder: Folder) -> None:
        folder(tocsin="include: ['*.yaml']\n", a="# one\n", b="")
        first = folder.open().hash
        folder(a="", b="# one\n")
        second = folder.open().hash
        (folder.path / "b.yaml").rename(folder.path / "c.yaml")
        assert len({first, second, folder.open().hash}) == 3

    def test_where_the_folder_is_and_how_the_main_file_is_called_is_not(
        self, folder: Folder, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder(tocsin="include: [a.yaml]\n", a="# one\n")
        other = Folder(tmp_path_factory.mktemp("other"))(policy="include: [a.yaml]\n", a="# one\n")
        assert ConfigFile.open(other.path / "policy.yaml").hash == folder.open().hash
