"""The configuration in force."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.config.cautions import caution, cautions
from services.config.includes import beside, gather
from services.config.model import Config
from services.runtime.errors import Caution, ConfigError, Fault
from services.runtime.faults import Steps, dotted
from services.runtime.yamlfile import Document, check

POLICY = frozenset(
    {
        "severity", "correlation", "rules", "triage", "flapping", "guard", "timers", "dependencies", "maintenance", "slos",
        "saturation",
    }
)  # fmt: skip
"""The sections that decide. The others say where things are, and who may do what."""

_SHADOW: Steps = ("shadow", "file")


@dataclass
class ConfigFile:
    """The configuration in force. `reload` swaps it whole or, when a file is broken, leaves it as it is.

    `files` are all that it was read from, the main one first. `shadow` is the candidate that is tried beside it; a candidate
    has none of its own. `hash` and `files` do not cover the shadow, which decides nothing; so what is wrong with it stands in
    `shadow_faults`, and the policy is used all the same.
    """

    path: Path | None
    config: Config
    hash: str
    warnings: tuple[Caution, ...] = ()
    files: tuple[Path, ...] = ()
    shadow: "ConfigFile | None" = None
    shadow_faults: tuple[Fault, ...] = ()
    candidate: bool = False
    document: Document = field(default_factory=lambda: Document("defaults"), repr=False, compare=False)

    @classmethod
    def open(cls, path: Path | None, *, candidate: bool = False) -> "ConfigFile":
        """Read the file (or take all defaults when there is none) and what it includes; raises `ConfigError`."""
        if path is None:
            config = Config()
            return cls(path, config, f"sha256:{hashlib.sha256(config.model_dump_json().encode()).hexdigest()}")
        gathered = gather(path)
        document = gathered.document
        shadow, wrong = _shadow(path, document, candidate)
        try:
            config = check(document, Config)
        except ConfigError as error:
            raise ConfigError([*error.faults, *wrong]) from None
        file = cls(path, config, gathered.hash, files=gathered.files, candidate=candidate, document=document)
        file.shadow, file.shadow_faults = shadow, tuple(wrong)
        file.warnings = tuple(document.in_order(_warnings(file)))
        return file

    def reload(self) -> None:
        """Raises `ConfigError` and changes nothing when a file is broken."""
        vars(self).update(vars(ConfigFile.open(self.path, candidate=self.candidate)))

    def place(self, steps: Steps) -> str:
        """Where that path stands in the files, like `("slos", 0, "query")` as `tocsin.yaml:12:5`."""
        return str(self.document.place(steps))

    def policy_document(self) -> dict[str, Any]:
        """The sections that decide, as a file would say them, with every default: no people, tokens, addresses or secrets."""
        return self.config.model_dump(mode="json", by_alias=True, include=set(POLICY))


def _shadow(main: Path, document: Document, candidate: bool) -> tuple[ConfigFile | None, list[Fault]]:
    """The candidate that the file names, and what is wrong with it."""
    name = _named(document.data)
    if name is None:
        return None, []
    if candidate:
        document.faults.append(document.place(("shadow",)).fault("shadow: a candidate has none; expected it in the policy only"))
        return None, []
    try:
        return ConfigFile.open(beside(main, name), candidate=True), []
    except ConfigError as error:
        return None, error.faults
    except ValueError as error:
        return None, [document.place(_SHADOW).fault(f"{dotted(_SHADOW)}: {error}")]


def _named(data: object) -> str | None:
    section = data.get("shadow") if isinstance(data, dict) else None
    name = section.get("file") if isinstance(section, dict) else None
    return name if isinstance(name, str) else None


def _warnings(file: ConfigFile) -> list[Caution]:
    found = cautions(file.config, file.document)
    if file.shadow:
        found += file.shadow.warnings
        if file.shadow.policy_document() == file.policy_document():
            found.append(caution(file.document, _SHADOW, "decides as this policy does; there is nothing to compare"))
    return found
