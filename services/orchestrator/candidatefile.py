"""The candidate that the configuration names: a whole policy of its own, read when the configuration is."""

from dataclasses import dataclass, field

import structlog

from services.config import Config, ConfigFile
from services.orchestrator.domain.policy.policy import Policy
from services.orchestrator.metrics import ShadowMetrics
from services.orchestrator.policyfile import policy_of

log = structlog.get_logger(__name__)


@dataclass
class CandidateFile:
    """Follows each reload of the configuration. A broken candidate is refused; the one before it, if there was one, goes on."""

    file: ConfigFile
    metrics: ShadowMetrics
    valid: bool = field(default=True, init=False)
    _policy: Policy | None = field(default=None, init=False)
    _seen: Config | None = field(default=None, init=False)

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
        found, faults = self.file.shadow, self.file.shadow_faults
        self.valid = not faults
        self.metrics.config_valid.set(self.valid)
        if faults:
            log.error("shadow_config_refused", faults=[str(fault) for fault in faults])
        else:
            self._policy = policy_of(found.config, found.hash) if found is not None else None
