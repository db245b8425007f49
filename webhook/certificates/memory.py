"""What one replica knows of authorities by their fingerprints, and so what it believes of a Secret."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from cryptography import x509

from webhook.certificates.making import fingerprint, is_ours


class Memory:
    """Authorities that this replica has trusted, and those that it made and nobody took over."""

    def __init__(self) -> None:
        self._trusted: dict[str, x509.Certificate] = {}
        self._made: dict[str, x509.Certificate] = {}

    @property
    def known(self) -> Collection[str]:
        """Fingerprints of what was trusted."""
        return self._trusted.keys()

    @property
    def never_written(self) -> tuple[x509.Certificate, ...]:
        """Authorities that were put into caBundles and then into no Secret, because another replica was faster."""
        return tuple(self._made.values())

    def trust(self, authorities: Iterable[x509.Certificate], now: datetime) -> None:
        """Remember what is trusted now; what has ended is forgotten."""
        found = {**self._trusted, **{fingerprint(each): each for each in authorities}}
        self._trusted = {name: each for name, each in found.items() if now < each.not_valid_after_utc}
        self._made = {name: each for name, each in self._made.items() if name not in found}

    def knows(self, authority: x509.Certificate) -> bool:
        """Whether an authority was trusted before."""
        return fingerprint(authority) in self._trusted

    def about_to_publish(self, authority: x509.Certificate) -> None:
        """Note an authority that is about to be put into caBundles, before any Secret has it; `trust` ends that."""
        self._made[fingerprint(authority)] = authority

    def believable(self, listed: Sequence[x509.Certificate] | None) -> frozenset[str] | None:
        """Fingerprints of authorities that a Secret may have; None: any, because there is nothing to go by yet.

        `listed` are those of the caBundles, None when they cannot be read.
        """
        if not self._trusted and (listed is None or not any(is_ours(each) for each in listed)):
            return None
        return frozenset(self._trusted) | {fingerprint(each) for each in listed or ()}
