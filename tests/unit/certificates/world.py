"""Replicas on a pretended API server that takes the steps in any order: every request is a point to stand still at."""

from __future__ import annotations

import copy
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import coroutine
from typing import Any

from app.kube.errors import Conflict
from app.kube.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from tests.unit.certificates.tls import NAMES, NOW
from webhook.certificates.bundles import Configuration, WebhookConfiguration
from webhook.certificates.keeper import Keeper, Timing
from webhook.certificates.kept import OURS_LABEL, OURS_VALUE, Kept, Secret, parse_pair, parse_trust, with_pair
from webhook.certificates.live import LiveCertificate
from webhook.certificates.making import cluster_names
from webhook.certificates.pair import issuer_of, parse_bundle
from webhook.certificates.rotation import Policy

PROPAGATION = 10.0
POLICY = Policy(cluster_names("hook", "dr"), timedelta(seconds=300), timedelta(seconds=1200), timedelta(seconds=20))
TARGETS = (WebhookConfiguration(MUTATING_WEBHOOKS, "m"), WebhookConfiguration(VALIDATING_WEBHOOKS, "v"))


@coroutine
def pause() -> Generator[None, None, None]:
    """Stand still until the world lets this replica go on."""
    yield


NAMES_OF_SECRETS = ("tls", "ca")


def empty(name: str, version: str = "0") -> Secret:
    """A Secret as the chart makes it."""
    return {
        "metadata": {"name": name, "namespace": "dr", "labels": {OURS_LABEL: OURS_VALUE}, "resourceVersion": version}
    }


@dataclass
class World:
    """The objects, the time, and what every caBundle has been since when."""

    seconds: float = 0.0
    secrets: dict[str, Secret] = field(default_factory=lambda: {name: empty(name) for name in NAMES_OF_SECRETS})
    bundles: dict[WebhookConfiguration, bytes] = field(default_factory=lambda: dict.fromkeys(TARGETS, b""))
    versions: dict[WebhookConfiguration, int] = field(default_factory=lambda: dict.fromkeys(TARGETS, 1))
    version: int = 1
    history: list[tuple[float, WebhookConfiguration, bytes]] = field(default_factory=list)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def set_bundle(self, target: WebhookConfiguration, pem: bytes) -> None:
        self.history.append((self.seconds, target, self.bundles[target]))
        self.bundles[target] = pem
        self.versions[target] += 1

    def views(self, target: WebhookConfiguration) -> list[bytes]:
        """The caBundles that some API server may still use: the one there is, and those replaced a moment ago."""
        recent = [pem for when, of, pem in self.history if of == target and self.seconds - when < PROPAGATION]
        return [*recent, self.bundles[target]]

    def read(self, target: WebhookConfiguration) -> Configuration:
        return Configuration(target, str(self.versions[target]), (("hook", self.bundles[target]),))

    async def read_configurations(self) -> list[Configuration]:
        found = []
        for target in TARGETS:
            await pause()
            found.append(self.read(target))
        return found

    async def write_bundles(self, configuration: Configuration, bundles: dict[str, bytes]) -> Configuration:
        await pause()
        target = configuration.target
        if configuration.version != str(self.versions[target]):
            raise Conflict(409, "Conflict", "changed")
        self.set_bundle(target, bundles["hook"])
        await pause()
        return self.read(target)

    def lose(self) -> None:
        """What a tool does that puts the Secrets back to what the chart makes."""
        self.version += 1
        self.secrets = {name: empty(name, str(self.version)) for name in NAMES_OF_SECRETS}

    def kept(self) -> Kept:
        """What the Secrets have."""
        trust = parse_trust(self.secrets["ca"])
        return with_pair(trust, parse_pair(self.secrets["tls"], trust.authorities))

    async def read_secret(self, name: str) -> Secret | None:
        await pause()
        return copy.deepcopy(self.secrets.get(name))

    async def write_secret(self, secret: Secret) -> None:
        await pause()
        name = secret["metadata"]["name"]
        if self.secrets[name]["metadata"]["resourceVersion"] != secret["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        self.version += 1
        self.secrets[name] = copy.deepcopy(secret)
        self.secrets[name]["metadata"]["resourceVersion"] = str(self.version)
        await pause()


class Replica:
    """One replica; `step` lets it do one request."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live = LiveCertificate(NAMES)
        self.keeper = Keeper(
            world,
            self.live,
            POLICY,
            namespace="dr",
            name="tls",
            authority_name="ca",
            timing=Timing(propagation=PROPAGATION),
            clock=world.now,
            monotonic=lambda: world.seconds,
        )
        self._look: Coroutine[Any, Any, None] | None = None

    @property
    def ready(self) -> bool:
        return self.keeper.problem(self.world.now()) is None

    def step(self) -> bool:
        """Go on to the next request; True when a look came to its end."""
        if self._look is None:
            self._look = self.keeper.look()
        try:
            self._look.send(None)
        except StopIteration:
            self._look = None
            return True
        return False

    def look(self) -> None:
        """A whole look, from the request it stands at."""
        while not self.step():
            pass

    def end(self) -> None:
        if self._look is not None:
            self._look.close()


def problem_of(world: World, replica: Replica) -> str | None:
    """A caBundle that some API server may use and that lacks the authority of what a ready replica serves."""
    served = replica.live.served
    if served is None or not replica.ready:
        return None
    for target in TARGETS:
        for pem in world.views(target):
            if issuer_of(served.leaf, parse_bundle(pem)[0]) is None:
                return f"at {world.seconds} s: {target}"
    return None
