"""Through which proxy an address is called, as Go's net/http reads the environment.

The rules are those of golang.org/x/net/http/httpproxy, which kubectl and the Go operator use: `HTTP_PROXY` and
`HTTPS_PROXY`, else their lower-case forms; `NO_PROXY` with hosts, `.suffixes`, addresses, CIDRs and ports. Loopback
addresses and `localhost` are never called through a proxy. `ALL_PROXY` is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PROXY_SCHEMES = ("http", "https")
"""Schemes of proxies that can be used."""
_MAPPED_BITS = 96
"""Bits before the IPv4 address in an IPv4-mapped one."""


class UnusableProxyError(ValueError):
    """A proxy that cannot be used; the message names the variable, without user and password."""


@dataclass(frozen=True, slots=True)
class _Exception:
    """One entry of NO_PROXY: a network or a host name, and perhaps a port."""

    network: Network | None
    suffix: str
    with_itself: bool
    port: str

    def holds(self, host: str, port: str, address: Address | None) -> bool:
        if self.port not in ("", port):
            return False
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        return host.endswith(self.suffix) or (self.with_itself and host == self.suffix[1:])


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment. Made once; per call it is only asked."""

    http: str = ""
    https: str = ""
    cgi: bool = False
    everything: bool = False
    exceptions: tuple[_Exception, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Read the variables as Go does."""

        def either(name: str) -> str:
            return environment.get(name) or environment.get(name.lower()) or ""

        entries = [entry for part in either("NO_PROXY").split(",") if (entry := part.strip().lower())]
        return cls(
            http=_with_scheme(either("HTTP_PROXY")),
            https=_with_scheme(either("HTTPS_PROXY")),
            cgi=bool(environment.get("REQUEST_METHOD")),
            everything="*" in entries,
            exceptions=tuple(found for entry in entries if (found := _exception(entry)) is not None),
        )

    def proxy_for(self, scheme: str, host: str, port: int) -> str | None:
        """Return the URL of the proxy for a call; None calls directly. `host` is lower case, without brackets.

        Raises UnusableProxyError for a proxy of a kind that cannot be used, or one that a CGI request may have set.
        """
        proxy = {"http": self.http, "https": self.https}.get(scheme, "")
        if not proxy:
            return None
        variable = f"{scheme.upper()}_PROXY"
        if scheme == "http" and self.cgi:
            raise UnusableProxyError(
                f"{variable} is not used while REQUEST_METHOD is set, as a request may have set it"
            )
        if self._is_direct(host, str(port)):
            return None
        if (kind := urlsplit(proxy).scheme) not in PROXY_SCHEMES:
            raise UnusableProxyError(
                f"{variable} names a proxy of kind {kind}; http:// and https:// proxies can be used"
            )
        return proxy

    def _is_direct(self, host: str, port: str) -> bool:
        if self.everything or host == "localhost":
            return True
        address = as_address(host)
        if address is not None and address.is_loopback:
            return True
        return any(entry.holds(host, port, address) for entry in self.exceptions)


def as_address(text: str) -> Address | None:
    """Read an address, a zone left out; an IPv4-mapped one is the IPv4 address that it stands for."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def as_network(text: str) -> Network | None:
    """Read a CIDR, whose host bits may be set; an IPv4-mapped one is that of IPv4."""
    address, separator, bits = text.partition("/")
    if not separator or not (bits.isascii() and bits.isdigit()) or "%" in address:
        return None
    try:
        network = ip_network(f"{address}/{int(bits)}", strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def split_port(text: str) -> tuple[str, str] | None:
    """Split `host:port` and `[address]:port`; None when it is neither, as Go's net.SplitHostPort."""
    host, separator, port = text.rpartition(":")
    if not separator:
        return None
    if host.startswith("["):
        inner = host[1:-1]
        return (inner, port) if host.endswith("]") and not set("[]") & set(inner + port) else None
    return None if set(":[]") & set(host) or set("[]") & set(port) else (host, port)


def ascii_host(host: str) -> str:
    """Return a host name in lower case as it is sent, so non-ASCII labels in their ASCII form."""
    if host.isascii():
        return host.lower()
    try:
        labels = host.removeprefix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host.lower()
    return f".{labels}" if host.startswith(".") else labels


def _with_scheme(proxy: str) -> str:
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _exception(entry: str) -> _Exception | None:
    network = as_network(entry)
    if network is not None:
        return _Exception(network, "", with_itself=False, port="")
    host, port = split_port(entry) or (entry, "")
    if not host:
        return None
    address = None if "%" in host else as_address(host)
    if address is not None:
        return _Exception(ip_network(address), "", with_itself=False, port=port)
    host = host.removeprefix("*") if host.startswith("*.") else host
    with_itself = not host.startswith(".")
    return _Exception(None, ascii_host(f".{host}" if with_itself else host), with_itself=with_itself, port=port)
