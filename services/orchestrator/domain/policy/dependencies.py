"""Which service stands on which."""

from collections import deque
from collections.abc import Mapping
from functools import cached_property


class Dependencies:
    """Declared dependencies, followed through: `web` on `api` on `db` means `web` on `db`. Free of cycles."""

    def __init__(self, declared: Mapping[str, tuple[str, ...]]) -> None:
        self._declared = declared

    def __bool__(self) -> bool:
        return bool(self._declared)

    def of(self, service: str) -> Mapping[str, tuple[str, ...]]:
        """What the service stands on, the nearest first, each with the way to it: `db: (web, api, db)`."""
        return self._reach.get(service, {})

    @cached_property
    def _reach(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {service: self._from(service) for service in self._declared}

    def on(self, service: str) -> tuple[str, ...]:
        """The services that stand on this one."""
        return self._dependants.get(service, ())

    @cached_property
    def _dependants(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for service, ways in self._reach.items():
            for target in ways:
                found[target] = (*found.get(target, ()), service)
        return found

    def _from(self, service: str) -> Mapping[str, tuple[str, ...]]:
        ways: dict[str, tuple[str, ...]] = {service: (service,)}
        ahead = deque([service])
        while ahead:
            here = ahead.popleft()
            for target in self._declared.get(here, ()):
                if target not in ways:
                    ways[target] = (*ways[here], target)
                    ahead.append(target)
        del ways[service]
        return ways
