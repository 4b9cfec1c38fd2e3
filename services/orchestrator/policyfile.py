"""From the configuration to the policy: the sections of the file as the values that decisions are made with."""

from dataclasses import dataclass, field

from services.config import ConfigFile
from services.orchestrator.domain.policy import Policy


def policy_of(file: ConfigFile) -> Policy:
    """The policy that the file holds now."""
    config = file.config
    return Policy(
        version=file.hash,
        severity_label=config.severity.label,
        severity_map=dict(config.severity.map),
        correlation=tuple(config.correlation.by),
        quiet_period=config.timers.quiet_period,
        refire_window=config.timers.refire_window,
    )


@dataclass
class PolicyInForce:
    """Reads the file's policy anew only when the file has changed."""

    file: ConfigFile
    _policy: Policy | None = field(default=None, init=False)

    def __call__(self) -> Policy:
        if self._policy is None or self._policy.version != self.file.hash:
            self._policy = policy_of(self.file)
        return self._policy
