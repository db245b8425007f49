"""The credentials of one connection while it is in use: authorization header and TLS context.

Tokens of service accounts are replaced every hour, CA bundles now and then, so files are read again once a
minute and whenever the server says 401. A file that cannot be read or does not fit keeps the old value.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

from app.kube.config import ConnectionConfig, plugin_credentials
from app.kube.errors import ConnectionConfigError
from app.runtime.logging import get_logger
from app.runtime.tls import load_pem_pair

REREAD_SECONDS = 60.0
"""How long a token file's content is used before it is read again."""

log = get_logger(__name__)


class Credentials:
    """Headers and TLS context of a connection, kept fresh."""

    def __init__(self, config: ConnectionConfig) -> None:
        self._config = config
        self._authorization: str | None = None
        self._ca_seen: str | None = None
        self._cert_seen: tuple[str | None, str | None] = (None, None)
        self._read_at: float | None = None
        self._lock = asyncio.Lock()
        self.ssl_context: ssl.SSLContext | None = None

    async def open(self) -> None:
        """Read everything for the first time; raises ConnectionConfigError when it is unusable."""
        if self._config.server.startswith("https://"):
            self.ssl_context = await asyncio.to_thread(self._make_context)
        await self._reread()

    async def headers(self) -> dict[str, str]:
        """Request headers that say who we are; reads the token again when it is a minute old."""
        if self._read_at is None or asyncio.get_running_loop().time() - self._read_at >= REREAD_SECONDS:
            await self.refresh()
        return {"Authorization": self._authorization} if self._authorization else {}

    async def refresh(self, *, rejected: str | None = None) -> bool:
        """Read the sources again; true when the authorization is now another than `rejected`.

        Called with the header that got a 401: if another task has refreshed meanwhile, nothing is read.
        """
        async with self._lock:
            if rejected is not None and self._authorization != rejected:
                return True
            before = self._authorization
            try:
                await self._reread(rejected=rejected is not None)
            except (OSError, ssl.SSLError, ConnectionConfigError) as e:
                log.warning("credentials not refreshed, the old ones stay in use", error=str(e))
                self._read_at = asyncio.get_running_loop().time()
            return self._authorization != before

    async def _reread(self, *, rejected: bool = False) -> None:
        config = self._config
        if config.plugin is not None:
            if self._read_at is None or rejected:
                await self._ask_plugin()
        else:
            self._authorization = await asyncio.to_thread(self._static_authorization)
            if self.ssl_context is not None and self._read_at is not None:
                await asyncio.to_thread(self._reload_tls, self.ssl_context)
        self._read_at = asyncio.get_running_loop().time()

    async def _ask_plugin(self) -> None:
        assert self._config.plugin is not None
        given = await plugin_credentials(self._config.plugin)
        self._authorization = given.authorization
        if self.ssl_context is not None and given.client_cert_file:
            self.ssl_context.load_cert_chain(given.client_cert_file, given.client_key_file)

    def _static_authorization(self) -> str | None:
        config = self._config
        if config.token_file:
            token = Path(config.token_file).read_text().strip()
            if not token:
                raise ConnectionConfigError(f"token file {config.token_file} is empty")
            return f"Bearer {token}"
        if config.token:
            return f"Bearer {config.token}"
        if config.username:
            pair = f"{config.username}:{config.password or ''}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        return None

    def _make_context(self) -> ssl.SSLContext:
        config = self._config
        try:
            context = ssl.create_default_context(cadata=self._ca_text())
            if config.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._load_client_certificate(context)
        except (OSError, ssl.SSLError) as e:
            raise ConnectionConfigError(f"{config.origin}: certificates cannot be used: {e}") from e
        return context

    def _reload_tls(self, context: ssl.SSLContext) -> None:
        """Take over replaced files. New CAs are added; a pair is tried in a scratch context first.

        A certificate and key that do not fit each other break a context they are loaded into.
        """
        seen = self._ca_seen
        authorities = self._ca_text()
        if authorities is not None and authorities != seen:
            context.load_verify_locations(cadata=authorities)
        pair = self._client_files()
        if pair != (None, None) and pair != self._cert_seen:
            self._load_client_certificate(ssl.create_default_context())
            self._load_client_certificate(context)

    def _ca_text(self) -> str | None:
        """Return the CAs to trust; None means those of the system."""
        config = self._config
        text = config.ca_data or (Path(config.ca_file).read_text() if config.ca_file else None)
        self._ca_seen = text
        return text

    def _client_files(self) -> tuple[str | None, str | None]:
        config = self._config
        cert = config.client_cert_data or (
            Path(config.client_cert_file).read_text() if config.client_cert_file else None
        )
        key = config.client_key_data or (Path(config.client_key_file).read_text() if config.client_key_file else None)
        return cert, key

    def _load_client_certificate(self, context: ssl.SSLContext) -> None:
        cert, key = self._client_files()
        if cert is None or key is None:
            return
        load_pem_pair(context, cert, key)
        self._cert_seen = (cert, key)
