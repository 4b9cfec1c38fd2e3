"""The candidate that the configuration names: a whole policy of its own, read when the configuration is."""

from dataclasses import dataclass, field

import structlog

from services import config as files
from services.orchestrator.domain.policy import Policy
from services.orchestrator.metrics import ShadowMetrics
from services.orchestrator.policyfile import policy_of
from services.runtime.errors import ConfigError, Fault

log = structlog.get_logger(__name__)


@dataclass
class CandidateFile:
    """Follows each reload of the configuration. A broken candidate is refused; the one before it, if there was one, goes on."""

    file: files.ConfigFile
    metrics: ShadowMetrics
    valid: bool = field(default=True, init=False)
    _policy: Policy | None = field(default=None, init=False)
    _seen: files.Config | None = field(default=None, init=False)

    def __call__(self) -> Policy | None:
        if self._seen is not self.file.config:
            self._seen = self.file.config
            self._read()
        return self._policy

    @property
    def name(self) -> str | None:
        """The file, as the configuration names it; None when there is no candidate."""
        return self.file.config.shadow.file if self.file.config.shadow else None

    def _read(self) -> None:
        self.valid = True
        try:
            self._policy = self._load()
        except ConfigError as error:
            self.valid = False
            log.error("shadow_config_refused", faults=[str(fault) for fault in error.faults])
        self.metrics.config_valid.set(self.valid)

    def _load(self) -> Policy | None:
        """Raises `ConfigError`."""
        if self.name is None or self.file.path is None:
            return None
        folder = self.file.path.parent
        path = folder / self.name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                [Fault(str(self.file.path), 0, 0, f"shadow.file: {self.name!r} leads outside the folder of this file")]
            )
        candidate = files.ConfigFile.open(path)
        if candidate.config.shadow is not None:
            raise ConfigError([Fault(str(path), 0, 0, "shadow: a candidate has no candidate of its own")])
        return policy_of(candidate.config, candidate.hash)
