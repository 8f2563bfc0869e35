"""Names to addresses, and which addresses nobody inside may reach."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

RESOLVE_SECONDS = 10.0
# Translation of IPv4 into IPv6 (RFC 6052, RFC 8215, 6to4, Teredo): what is inside cannot be told apart from the outside.
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


class Forbidden(Exception):
    """A name leads to an address that is not public; the text names both."""


class Unresolved(Exception):
    """A name leads nowhere from here."""


def is_public(address: str) -> bool:
    """Whether it is an ordinary address of the internet: not loopback, private, link-local, shared, multicast or reserved."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None or found.is_site_local or any(found in net for net in _TRANSLATED):
            return False
        # ::a.b.c.d, the old form of an IPv4 address
        if int(found) >> 32 == 0:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved and not found.is_unspecified


def is_linkable(address: str) -> bool:
    """Whether a file that a registry of this machine links to may lie there: private yes, as pip itself would, but never this machine
    or its link.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (found.ipv4_mapped is not None or int(found) >> 32 == 0):
        return False
    refused = (found.is_loopback, found.is_link_local, found.is_multicast, found.is_unspecified, found.is_reserved)
    return not any(refused)


def is_own(address: str) -> bool:
    """Whether it is one of this machine's own, public ones too: what the machine would also answer from. Nothing is sent to find out."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
        family = socket.AF_INET if found.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0]) == found
    except (OSError, ValueError):
        # No way leads there.
        return False


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, as this machine sees them. Raises Unresolved."""
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), RESOLVE_SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        raise Unresolved(f"{host} cannot be found: {error}") from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def checked(host: str, addresses: Sequence[str], is_allowed: Callable[[str], bool] = is_public) -> Sequence[str]:
    """The addresses, all of them public and none ours. Raises Forbidden when one is: such a name is a trick or a mistake."""
    for address in addresses:
        if not is_allowed(address):
            raise Forbidden(f"{host} leads to {address}, which is no public address")
        if is_own(address):
            raise Forbidden(f"{host} leads to {address}, which is this machine's own address")
    if not addresses:
        raise Unresolved(f"{host} has no address")
    return addresses
