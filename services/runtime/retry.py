"""When to try again: a value made by pure code and carried out by whoever loops."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Backoff:
    """Waits that grow from `first` to `most` seconds by `factor`, each spread by ± `spread` so that many do not meet."""

    first: float = 0.5
    most: float = 60.0
    factor: float = 2.0
    spread: float = 0.2

    def wait(self, attempt: int, dice: Random) -> float:
        """Seconds to wait after the given failed attempt (1 is the first)."""
        plain = min(self.most, self.first * self.factor ** min(attempt - 1, 32))
        return plain * (1 + self.spread * (2 * dice.random() - 1))
