"""What an address stands for: the IPv4 addresses inside IPv6 ones, and the addresses that no action may reach."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from app.engine.proxies import Address, Network

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW = 0xFFFFFFFF
"""The last 32 bits."""
_FIRST_ORDINARY = 2
"""`::` and `::1` are no IPv4-compatible addresses."""

_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), what)
    for network, what in (
        ("169.254.0.0/16", "link-local, where clouds serve the credentials of the node"),
        ("fe80::/10", "link-local"),
        ("fd00:ec2::/32", "an instance's services at AWS, credentials among them"),
        ("fd20:ce::/32", "the metadata service of Google Cloud"),
        ("fd00:42::42/128", "the metadata service of Scaleway"),
        ("100.100.100.200/32", "the metadata service of Alibaba Cloud"),
        ("168.63.129.16/32", "the host services of Azure"),
        ("192.0.0.192/32", "the metadata service of Oracle Cloud"),
        ("0.0.0.0/8", "unspecified"),
        ("::/128", "unspecified"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("255.255.255.255/32", "broadcast"),
    )
)
"""Networks that are refused whatever the settings say. docs/security.md lists them."""

METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    }
)
"""Names of metadata services, which a proxy would look up."""


def forms(address: Address) -> tuple[Address, ...]:
    """Return an address and every IPv4 address that a packet to it may end at.

    IPv4-mapped, IPv4-compatible and IPv4-translated ones, NAT64 (RFC 6052, RFC 8215), 6to4, Teredo and ISATAP.
    """
    if isinstance(address, IPv4Address):
        return (address,)
    return (address, *(IPv4Address(number) for number in _embedded(address)))


def destination(address: Address) -> Address:
    """Return the address where a packet surely ends: the IPv4 one of an IPv4-mapped or NAT64 address."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64):
        return IPv4Address(int(address) & _LOW)
    return address


def never(address: Address) -> str:
    """Say what makes an address one that no action may reach; empty for all others."""
    for form in forms(address):
        for network, what in _REFUSED:
            if form.version == network.version and form in network:
                return what
    return ""


def is_loopback(address: Address) -> bool:
    """Whether an address, in whatever form, is of the host itself."""
    return any(form.is_loopback for form in forms(address))


def _embedded(address: IPv6Address) -> list[int]:
    number = int(address)
    found: list[int] = []
    if address.ipv4_mapped is not None or address in _NAT64 or address in _TRANSLATED:
        found.append(number & _LOW)
    if address in _COMPATIBLE and number >= _FIRST_ORDINARY:
        found.append(number & _LOW)
    if address in _LOCAL_NAT64:
        found += _of_local_nat64(number)
    if address.sixtofour is not None:
        found.append(int(address.sixtofour))
    if address.teredo is not None:
        found += [int(one) for one in address.teredo]
    if (number >> 32) & _LOW in _ISATAP:
        found.append(number & _LOW)
    return found


def _of_local_nat64(number: int) -> list[int]:
    """Read an address behind a site's own NAT64: a prefix of 48 to 96 bits, without bits 64 to 71 (RFC 6052, 2.2)."""
    without_gap = ((number >> 64) << 56) | (number & ((1 << 56) - 1))
    return [number & _LOW, *((without_gap >> (120 - bits - 32)) & _LOW for bits in (48, 56, 64))]
