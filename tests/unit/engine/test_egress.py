"""The egress policy: what is always refused, in whatever form, and what an administrator's rules say."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.engine.addresses import forms
from app.engine.egress import Egress, EgressRuleError, parse_rule

ALWAYS = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "255.255.255.255",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:ffa9:fe:a9fe::",
    "64:ff9b:1:ffff:a9:fea9:fe00::",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:808:808::5601:5601",
    "2001:db8::5efe:169.254.169.254",
    "2001:db8::200:5efe:169.254.169.254",
]


@pytest.mark.parametrize("address", ALWAYS)
def test_always_refused_whatever_the_rules_say(address: str) -> None:
    policy = Egress.parse("*, 0.0.0.0/0, ::/0", loopback=True)
    assert "is always refused" in policy.refusal("db.example", 80, ip_address(address))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
def test_loopback_is_refused_unless_it_is_meant(address: str) -> None:
    found = ip_address(address)
    assert "egress.loopback is off" in Egress().refusal("localhost", 80, found)
    assert "egress.loopback is off" in Egress.parse("localhost, *").refusal("localhost", 80, found)
    assert Egress(loopback=True).refusal("localhost", 80, found) == ""


def test_an_own_address_of_another_network_is_as_loopback() -> None:
    found = ip_address("10.1.2.3")
    for policy in (Egress(), Egress.parse("10.0.0.0/8, *"), Egress.parse("10.1.2.3:81, *")):
        assert "is an address of the controller itself" in policy.refusal("node.example", 80, found, own=True)
        assert policy.refusal("node.example", 80, found) == ""
    for policy in (Egress(loopback=True), Egress.parse("10.1.2.3"), Egress.parse("10.1.2.3:80")):
        assert policy.refusal("node.example", 80, found, own=True) == ""


def test_an_allowed_loopback_address_is_meant() -> None:
    policy = Egress.parse("127.0.0.1:15000, .example.com")
    assert policy.refusal("127.0.0.1", 15000, ip_address("127.0.0.1")) == ""
    assert policy.refusal("127.0.0.1", 15001, ip_address("127.0.0.1"))
    assert policy.refusal("a.example.com", 15000, ip_address("127.0.0.2"))


@pytest.mark.parametrize("address", ["10.0.0.1", "93.184.216.34", "2001:db8::1", "fd12::1", "100.100.100.201"])
def test_everything_else_is_allowed_by_default(address: str) -> None:
    assert Egress().refusal("db.example", 443, ip_address(address)) == ""


@pytest.mark.parametrize(
    ("allow", "deny", "host", "port", "address", "why"),
    [
        ("10.0.0.0/8", "", "db.example", 80, "10.1.1.1", ""),
        ("10.0.0.0/8", "", "db.example", 80, "11.1.1.1", "no rule of egress.allow"),
        ("10.0.0.0/8", "", "db.example", 80, "::ffff:10.1.1.1", ""),
        ("10.0.0.0/8", "", "db.example", 80, "64:ff9b::a01:101", ""),
        ("10.0.0.0/8", "", "db.example", 80, "2002:a01:101::1", "no rule of egress.allow"),
        ("10.0.0.0/8:443", "", "db.example", 80, "10.1.1.1", "no rule of egress.allow"),
        ("10.0.0.0/8:80-90", "", "db.example", 85, "10.1.1.1", ""),
        ("*:443", "", "db.example", 443, "10.1.1.1", ""),
        ("*:443", "", "db.example", 444, "10.1.1.1", "no rule of egress.allow"),
        ("example.com", "", "example.com", 80, "10.1.1.1", ""),
        ("example.com", "", "a.example.com", 80, "10.1.1.1", ""),
        ("example.com", "", "A.EXAMPLE.com.", 80, "10.1.1.1", ""),
        ("example.com", "", "notexample.com", 80, "10.1.1.1", "no rule of egress.allow"),
        (".example.com", "", "example.com", 80, "10.1.1.1", "no rule of egress.allow"),
        ("*.example.com", "", "a.example.com", 80, "10.1.1.1", ""),
        ("", "example.com", "a.example.com", 80, "10.1.1.1", "egress.deny has the rule example.com"),
        ("", "10.0.0.0/8", "db.example", 80, "10.1.1.1", "rule 10.0.0.0/8 of egress.deny"),
        ("", "10.0.0.0/8", "db.example", 80, "::ffff:10.1.1.1", "rule 10.0.0.0/8 of egress.deny"),
        ("", "10.0.0.0/8", "db.example", 80, "64:ff9b::a01:101", "rule 10.0.0.0/8 of egress.deny"),
        ("", "10.0.0.0/8", "db.example", 80, "2002:a01:101::1", "rule 10.0.0.0/8 of egress.deny"),
        ("*", "*:22", "db.example", 22, "10.1.1.1", "egress.deny has the rule *:22"),
        ("10.0.0.0/8", "10.1.0.0/16", "db.example", 80, "10.1.1.1", "rule 10.1.0.0/16 of egress.deny"),
        ("", "[2001:db8::/32]:443", "db.example", 443, "2001:db8::1", "of egress.deny"),
        ("", "[2001:db8::/32]:443", "db.example", 444, "2001:db8::1", ""),
        ("", "2001:db8::1", "db.example", 444, "2001:db8::1", "rule 2001:db8::1 of egress.deny"),
        ("", "", "metadata.google.internal.", 80, "10.1.1.1", "metadata"),
    ],
)
def test_rules(allow: str, deny: str, host: str, port: int, address: str, why: str) -> None:
    found = Egress.parse(allow, deny).refusal(host, port, ip_address(address))
    assert (why in found) if why else found == ""


@pytest.mark.parametrize(
    ("allow", "deny", "host", "why"),
    [
        ("", "", "db.example", ""),
        ("10.0.0.0/8", "", "db.example", "cannot be checked"),
        ("example", "", "db.example", ""),
        ("", "example:443", "db.example", "egress.deny has the rule example:443"),
        ("", "", "metadata.google.internal", "metadata"),
    ],
)
def test_behind_a_proxy_names_are_checked(allow: str, deny: str, host: str, why: str) -> None:
    found = Egress.parse(allow, deny).refusal_behind_proxy(host, 443)
    assert (why in found) if why else found == ""


@pytest.mark.parametrize(
    "rule",
    [
        "10.0.0.0/33",
        "10.0.0.0/8:0",
        "a:70000",
        "a:2-1",
        "a:x",
        "http://a",
        "a b",
        "-:",
        ":80",
        "1.2.3",
        "a/b",
        "[::1",
        ".",
    ],
)
def test_rules_that_cannot_be_read(rule: str) -> None:
    if rule == "-:":
        rule = "a:"
    with pytest.raises(EgressRuleError, match="cannot be read: an address, a CIDR") as caught:
        parse_rule(rule)
    assert rule in str(caught.value)


def test_forms_of_an_ordinary_address() -> None:
    assert forms(ip_address("10.0.0.1")) == (ip_address("10.0.0.1"),)
    assert forms(ip_address("2001:db8::1")) == (ip_address("2001:db8::1"),)
