"""Which addresses may be asked on behalf of somebody else: those of the open internet, and what the operator lists.

A name is resolved once, and what was judged is what is connected to, so that it cannot mean another address a moment later.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; raises OSError when there are none."""

_LEADING_ELSEWHERE = tuple(
    ip_network(text)
    for text in (
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # the platform service of Azure
        "fec0::/10",  # site-local
    )
)
"""What `ipaddress` takes for global, and what leads to other addresses or to the machine's surroundings."""


class ForbiddenAddress(ValueError):
    """The host is not one that may be asked; says why in words."""


def forbidden(address: str) -> str | None:
    """What kind of address it is when it is not one of the open internet."""
    try:
        found: Address = ip_address(address.partition("%")[0])
    except ValueError:
        return "no address"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return "a loopback address"
    if found.is_link_local:
        return "a link-local address"
    if found.is_private:
        return "a private address"
    if found.is_multicast or not found.is_global or any(found in network for network in _LEADING_ELSEWHERE):
        return "no address of the open internet"
    return None


async def resolve(host: str, port: int) -> list[str]:
    """Whatever the machine's resolver says, each once."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def permitted(host: str, port: int, allowed: Collection[str], resolve: Resolve = resolve) -> Sequence[str]:
    """The addresses of the host to connect to. Raises `ForbiddenAddress`, and OSError when it has none.

    One forbidden address among them is enough to refuse the host, unless it is listed.
    """
    found = await resolve(host, port)
    if not found:
        raise OSError("it has no address")
    if host.casefold() not in {each.casefold() for each in allowed}:
        for address in found:
            if kind := forbidden(address):
                raise ForbiddenAddress(f"{host} has {kind} ({address})" if address != host else f"{host} is {kind}")
    return found
