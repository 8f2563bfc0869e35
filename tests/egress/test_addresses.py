from __future__ import annotations

import pytest

from kernel_gateway.egress.addresses import Forbidden, checked, is_linkable, is_own, is_public
from kernel_gateway.egress.outward import Dialer, Streams


def test_an_address_of_this_machine_is_refused_however_public_it_is() -> None:
    assert is_own("127.0.0.1") and not is_own("192.0.2.1") and not is_own("no address")
    with pytest.raises(Forbidden, match="this machine's own"):
        checked("api.example.com", ["127.0.0.1"], lambda address: True)


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 255.255.255.255
    240.0.0.1 192.0.2.1 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8
    ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001:0:7f00:1:: fec0::1 2001:db8::1 nonsense""".split(),
)
def test_what_is_no_ordinary_address_of_the_internet_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Forbidden, match=r"api\.example\.com"):
        checked("api.example.com", ["8.8.8.8", address])


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111"])
def test_ordinary_addresses_pass(address: str) -> None:
    assert checked("api.example.com", [address]) == [address]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:127.0.0.1"]
)
def test_no_link_of_a_registry_leads_to_this_machine(address: str) -> None:
    assert not is_linkable(address)


def test_a_registry_may_keep_its_files_in_a_private_network() -> None:
    assert is_linkable("10.1.2.3")


async def addresses(host: str, port: int) -> list[str]:
    return {"world": ["8.8.8.8"], "corp": ["10.0.0.1"], "files": ["10.0.0.2"], "self": ["127.0.0.1"]}[host]


async def refuse(address: str, port: int) -> Streams:
    raise ConnectionRefusedError(address)


@pytest.mark.parametrize(
    ("registry", "file", "error"),
    [
        ("corp", "files", OSError),
        ("world", "files", Forbidden),
        ("corp", "self", Forbidden),
        ("world", "self", Forbidden),
    ],
)
async def test_only_a_private_registry_may_link_to_private_places(
    registry: str, file: str, error: type[Exception]
) -> None:
    dialer = Dialer({}, resolve=addresses, connect=refuse)
    dialer.trust(f"https://{registry}/simple/")
    dialer.link(f"https://{file}/x.whl", f"https://{registry}/simple/")
    with pytest.raises(error):
        await dialer.open(file, 443)
    with pytest.raises(Forbidden):
        await dialer.another().open(file, 443)
