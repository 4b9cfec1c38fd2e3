"""The configuration in force."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from services.config.model import Config
from services.runtime.yamlfile import load


@dataclass
class ConfigFile:
    """The configuration in force. `reload` swaps it whole or, when the file is broken, leaves it as it is."""

    path: Path | None
    config: Config
    hash: str

    @classmethod
    def open(cls, path: Path | None) -> "ConfigFile":
        """Read the file (or take all defaults when there is none); raises `ConfigError`."""
        return cls(path, *_read(path))

    def reload(self) -> None:
        """Raises `ConfigError` and changes nothing when the file is broken."""
        self.config, self.hash = _read(self.path)


def _read(path: Path | None) -> tuple[Config, str]:
    if path is None:
        config = Config()
        return config, f"sha256:{hashlib.sha256(config.model_dump_json().encode()).hexdigest()}"
    return load(path, Config)
