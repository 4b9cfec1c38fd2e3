"""How long an earlier try is looked for in vain before the message is said again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

MOST = 3
LONGEST = timedelta(minutes=2)
"""So many lookups that failed, or one that fails so long after the first, and a message said twice is the lesser evil."""
_KEPT = timedelta(days=1)


@dataclass
class Lookups:
    """The lookups of this process that failed, by what was looked for. Who starts anew has more patience, no less."""

    _failed: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def failed(self, marker: str, now: datetime) -> bool:
        """Note one; True when it was enough. Then the count begins anew: the next repeat needs as much again."""
        self._failed = {name: seen for name, seen in self._failed.items() if now - seen[1] < _KEPT}
        count, first = self._failed.pop(marker, (0, now))
        enough = count + 1 >= MOST or now - first >= LONGEST
        if not enough:
            self._failed[marker] = count + 1, first
        return enough

    def worked(self, marker: str) -> None:
        self._failed.pop(marker, None)
