"""Which addresses may be asked for somebody else."""

from collections.abc import Sequence

import pytest

from services.runtime.addresses import ForbiddenAddress, forbidden, permitted, resolve

FORBIDDEN = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:a9fe:a9fe::1", "2001::1", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "100::1", "not an address", "",
]  # fmt: skip
OPEN = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_is_near_or_leads_elsewhere_is_forbidden(address: str) -> None:
    assert forbidden(address)


@pytest.mark.parametrize("address", OPEN)
def test_the_open_internet_is_not(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1", "::1"])
async def test_a_host_is_judged_by_what_it_means_however_it_is_written(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="a loopback address"):
        await permitted(host, 80, ())


async def test_a_listed_host_may_be_anywhere() -> None:
    assert await permitted("LocalHost", 80, ["localhost"]) == await resolve("localhost", 80)


async def test_listing_an_address_does_not_list_the_names_that_have_it() -> None:
    with pytest.raises(ForbiddenAddress):
        await permitted("localhost", 80, ["127.0.0.1"])


async def test_one_forbidden_address_among_several_refuses_the_host() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(ForbiddenAddress, match=r"calendar.example has a private address \(10.0.0.1\)"):
        await permitted("calendar.example", 443, (), both)


async def test_a_host_without_an_address_is_told() -> None:
    async def none(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(OSError, match="it has no address"):
        await permitted("calendar.example", 443, (), none)
