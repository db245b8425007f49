"""Every verb that writes demands lease time; nothing of what is refused is sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest

from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig
from app.kube.errors import is_transient
from app.kube.leased import LeasedKubeClient, NoLeaseTimeError
from app.kube.resources import CONFIG_MAPS
from app.kube.transport import Transport

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "ns"}}
WRITES: dict[str, Callable[[KubeClient], Coroutine[Any, Any, object]]] = {
    "create": lambda kube: kube.create(CONFIG_MAPS, OBJECT),
    "dry run": lambda kube: kube.create(CONFIG_MAPS, OBJECT, dry_run=True),
    "replace": lambda kube: kube.replace(CONFIG_MAPS, OBJECT),
    "status": lambda kube: kube.replace(CONFIG_MAPS, OBJECT, subresource="status"),
    "patch": lambda kube: kube.patch(CONFIG_MAPS, "x", {}, namespace="ns"),
    "apply": lambda kube: kube.apply(CONFIG_MAPS, OBJECT),
    "delete": lambda kube: kube.delete(CONFIG_MAPS, "x", namespace="ns"),
}
READS: dict[str, Callable[[KubeClient], Coroutine[Any, Any, object]]] = {
    "get": lambda kube: kube.get(CONFIG_MAPS, "x", namespace="ns"),
    "list": lambda kube: kube.list(CONFIG_MAPS, namespace="ns"),
    "raw": lambda kube: kube.get_raw("/version"),
}


class Clients:
    """A client within a lease, and what it sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0.0
        self.sent: list[str] = []

        async def request(_self: Transport, _verb: str, _label: str, method: str, *_: object, **__: object) -> object:
            self.sent.append(method)
            return 200, orjson.dumps(OBJECT)

        monkeypatch.setattr(Transport, "request", request)
        self.plain = KubeClient(ConnectionConfig(server="http://api", origin="test"))
        self.leased = LeasedKubeClient(self.plain, lambda: self.left)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    return Clients(monkeypatch)


@pytest.mark.parametrize("verb", WRITES)
async def test_writes_demand_lease_time(clients: Clients, verb: str) -> None:
    with pytest.raises(NoLeaseTimeError) as caught:
        await WRITES[verb](clients.leased)
    assert not clients.sent
    assert not caught.value.in_doubt
    assert is_transient(caught.value)
    clients.left = 0.1
    await WRITES[verb](clients.leased)
    assert len(clients.sent) == 1


@pytest.mark.parametrize("verb", READS)
async def test_reads_do_not(clients: Clients, verb: str) -> None:
    await READS[verb](clients.leased)
    assert clients.sent == ["GET"]


async def test_the_lease_itself_is_written_by_the_plain_client(clients: Clients) -> None:
    await WRITES["replace"](clients.plain)
    assert clients.sent == ["PUT"]
