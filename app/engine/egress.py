"""Where HTTP actions may connect to: rules of the administrator, decided for the address that is about to be dialled.

A rule is `TARGET`, or `TARGET:PORT` with one port or a range `8000-8999`. Targets are an address, a CIDR, a host with
all below it (`example.com`), only what is below it (`.example.com`), or `*`. IPv6 with a port is written
`[2001:db8::/32]:443`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

from app.engine.addresses import METADATA_NAMES, destination, forms, is_loopback, never
from app.engine.proxies import Address, Network, as_address, as_network, ascii_host, split_port

_LAST_PORT = 65535
_REMEMBERED = 1024
"""Decisions that are remembered."""


class EgressRuleError(ValueError):
    """A rule that cannot be read; the message shows it and says what is accepted."""


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One rule. Without network and suffix it means every target."""

    text: str
    network: Network | None = None
    suffix: str = ""
    with_itself: bool = False
    first_port: int = 0
    last_port: int = _LAST_PORT

    def names(self, host: str, port: int) -> bool:
        """Whether it is about this host by name, or about every target."""
        if self.network is not None or not self.first_port <= port <= self.last_port:
            return False
        if not self.suffix:
            return True
        return host.endswith(self.suffix) or (self.with_itself and host == self.suffix[1:])

    def holds(self, port: int, address: Address) -> bool:
        """Whether it is about this address."""
        network = self.network
        if network is None or not self.first_port <= port <= self.last_port:
            return False
        return address.version == network.version and address in network


@dataclass(frozen=True, slots=True)
class Egress:
    """The policy. By default every target is allowed that is neither the host itself nor always refused.

    With any rule in `allow` nothing else is allowed; `deny` wins over it. `loopback` allows addresses of the host
    itself, as does a rule of `allow` that names such an address, or a network of loopback.
    """

    allow: tuple[EgressRule, ...] = ()
    deny: tuple[EgressRule, ...] = ()
    loopback: bool = False

    @classmethod
    def parse(cls, allow: str = "", deny: str = "", *, loopback: bool = False) -> Egress:
        """Read both lists, whose rules are separated by commas. Raises EgressRuleError."""
        return cls(parse_rules(allow), parse_rules(deny), loopback)

    def refusal(self, host: str, port: int, address: Address, *, own: bool = False) -> str:
        """Say which rule refuses to connect to `address`, which `host` stands for; empty when none does.

        `own` tells that it is an address of the controller's own host, though none of loopback.
        """
        return _refusal(self, _plain(host), port, address, own)

    def refusal_by_name(self, host: str, port: int) -> str:
        """Say which rule refuses a host whatever its address is; empty when none does."""
        name = _plain(host)
        if name in METADATA_NAMES:
            return f"{name} is always refused (the name of a metadata service)"
        for rule in self.deny:
            if rule.names(name, port):
                return f"egress.deny has the rule {rule.text}"
        return ""

    def refusal_behind_proxy(self, host: str, port: int) -> str:
        """Say which rule refuses a call by name through a proxy, which looks it up: so the name alone is checked."""
        if why := self.refusal_by_name(host, port):
            return why
        if not self.allow or any(rule.names(_plain(host), port) for rule in self.allow):
            return ""
        return (
            f"no rule of egress.allow names {_plain(host)} with port {port}, and the addresses of a name that a proxy "
            "looks up cannot be checked"
        )


def parse_rules(text: str) -> tuple[EgressRule, ...]:
    """Read rules separated by commas. Raises EgressRuleError."""
    return tuple(parse_rule(part.strip()) for part in text.split(",") if part.strip())


def parse_rule(text: str) -> EgressRule:
    """Read one rule. Raises EgressRuleError."""
    target, ports = _split(text)
    first, last = _ports(text, ports)
    if target == "*":
        return EgressRule(text, first_port=first, last_port=last)
    network = as_network(target)
    if network is None and (address := None if "%" in target else as_address(target)) is not None:
        network = ip_network(address)
    if network is not None:
        return EgressRule(text, network, first_port=first, last_port=last)
    name = target.removeprefix("*") if target.startswith("*.") else target
    if not name.strip(".") or set(name) & set("/:[]*%@ ?#\\") or name.replace(".", "").isdigit():
        raise _wrong(text)
    with_itself = not name.startswith(".")
    suffix = _plain(f".{name}" if with_itself else name)
    return EgressRule(text, None, suffix, with_itself, first, last)


@lru_cache(_REMEMBERED)
def _refusal(policy: Egress, host: str, port: int, address: Address, own: bool) -> str:
    found = f"{address}" if host == str(address) else f"{address}, which {host} stands for,"
    if what := never(address):
        return f"{found} is always refused ({what})"
    if why := policy.refusal_by_name(host, port):
        return why
    for rule in policy.deny:
        if any(rule.holds(port, form) for form in forms(address)):
            return f"{found} is refused by the rule {rule.text} of egress.deny"
    allowed = [r for r in policy.allow if r.names(host, port) or r.holds(port, destination(address))]
    if (own or is_loopback(address)) and not policy.loopback and not any(_means_host(rule) for rule in allowed):
        return f"{found} is an address of the controller itself, and egress.loopback is off"
    if policy.allow and not allowed:
        return f"no rule of egress.allow holds for {found.removesuffix(',')} with port {port}"
    return ""


def _means_host(rule: EgressRule) -> bool:
    """Whether a rule that holds for an address of the controller's own host was made for it."""
    network = rule.network
    return network is not None and (network.is_loopback or network.prefixlen == network.max_prefixlen)


def _plain(host: str) -> str:
    return ascii_host(host).rstrip(".")


def _split(text: str) -> tuple[str, str | None]:
    if as_network(text) is not None or as_address(text) is not None:
        return text, None
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1], None
    parts = split_port(text)
    return parts if parts is not None else (text, None)


def _ports(text: str, ports: str | None) -> tuple[int, int]:
    if ports is None:
        return 0, _LAST_PORT
    first, separator, last = ports.partition("-")
    numbers = [int(n) for n in (first, last if separator else first) if n.isascii() and n.isdigit() and len(n) < 6]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= _LAST_PORT:
        raise _wrong(text)
    return numbers[0], numbers[1]


def _wrong(text: str) -> EgressRuleError:
    return EgressRuleError(
        f"the rule '{text}' cannot be read: an address, a CIDR, a host such as example.com or .example.com, or * is "
        "accepted, with :PORT or :FIRST-LAST behind it if need be (IPv6 then in brackets)"
    )
