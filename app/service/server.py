"""Running an ASGI application on uvicorn inside the process's own task group.

uvicorn is a guest here: it installs no signal handlers, does not touch logging, accepts no connections (`Acceptor`
does, with limits) and never ends the process. The socket is bound before anything runs, so that a port in use is one
clear error at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from app.runtime import metrics
from app.runtime.health import Health
from app.runtime.logging import get_logger
from app.runtime.settings import CommonSettings
from app.runtime.tasks import TaskOwner
from app.service.acceptor import Acceptor, TlsContext
from app.service.guarded import Greeting, GuardedProtocol
from app.service.limits import ORDINARY, ConnectionLimits
from app.service.probes import health_app, metrics_app

log = get_logger(__name__)

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


SWEEP_TICKS = 5
"""Of uvicorn's tenths of a second: how often connections are looked at."""

THREAD_END_SECONDS = 0.5
"""How long a server in a thread may take to end; what is left of it ends with the process."""


class PortError(Exception):
    """A port cannot be listened on; the text names address, port and reason."""


class _GuestServer(uvicorn.Server):
    """uvicorn's server without its signal handlers, as the process has its own, and with our way to accept."""

    acceptor: Acceptor

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  (uvicorn's)
        self.servers = []
        self.acceptor.start()
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        self.acceptor.check()
        if counter % SWEEP_TICKS == 0:
            self.acceptor.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.acceptor.close()
        await super().shutdown(sockets)


class HttpServer:
    """One listening port. `listen` binds it, `run` serves until cancelled and then finishes open requests.

    `port` 0 takes a free one; `grace` is how many seconds open requests get at the end. With `tls` the port speaks
    HTTPS; the context may be changed while in use. `greet` may give a connection another application.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        name: str,
        host: str,
        port: int,
        tls: TlsContext | None = None,
        grace: float = 3.0,
        limits: ConnectionLimits = ORDINARY,
        greet: Greeting | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self._host = host
        self._grace = grace
        self._socket: socket.socket | None = None
        self._tls = tls
        self._limits = limits
        self._greet = greet
        self._server = _GuestServer(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=round(limits.idle),
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )

    def listen(self) -> int:
        """Bind the port and return its number; raises PortError."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # the loop looks for TCP by this
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self.port))
            bound.listen(1024)
        except OSError as e:
            bound.close()
            raise PortError(
                f"cannot listen on {self._host}:{self.port} for {self.name}: {e.strerror or e}; "
                "free the port or choose another"
            ) from e
        bound.setblocking(False)
        self._socket = bound
        self.port = int(bound.getsockname()[1])
        return self.port

    def close(self) -> None:
        """Give back a bound port that is not going to be served."""
        if self._socket is not None:
            self._socket.close()

    def end_connections(self) -> None:
        """End the connections there are, those that are being answered after that; new ones are taken as before."""
        if self.serving:
            self._server.acceptor.end_connections()

    @property
    def serving(self) -> bool:
        """Whether connections are being answered."""
        return self._server.started and not self._server.should_exit

    async def run(self) -> None:
        """Serve until cancelled; then take no new connections, finish open requests, close."""
        if self._socket is None:
            self.listen()
        assert self._socket is not None
        self._server.acceptor = Acceptor(
            self.name,
            self._socket,
            self._server.config,
            self._server.server_state,
            limits=self._limits,
            tls=self._tls,
            greet=self._greet,
        )
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name=f"http/{self.name}")
        log.info("listening", server=self.name, host=self._host, port=self.port)
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await asyncio.wait({serving}, timeout=self._grace + 2.0)
            if not serving.done():
                serving.cancel()
                await asyncio.wait({serving}, timeout=1.0)
            self._socket.close()
        if not serving.cancelled():
            serving.result()
        raise RuntimeError(f"the server of {self.name} ended by itself")


async def serve_in_thread(server: HttpServer) -> None:
    """Serve from a thread with an event loop of its own, until cancelled: it answers while this loop is blocked."""
    home, ended = asyncio.get_running_loop(), asyncio.Event()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(server.run(), name=f"thread/{server.name}")

    def work() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            home.call_soon_threadsafe(ended.set)

    threading.Thread(target=work, name=f"http/{server.name}", daemon=True).start()
    try:
        await ended.wait()
    except asyncio.CancelledError:
        loop.call_soon_threadsafe(serving.cancel)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(THREAD_END_SECONDS):
                await ended.wait()
        raise
    raise RuntimeError(f"the server of {server.name} ended by itself")


@dataclass(frozen=True, slots=True)
class ProbePorts:
    """Where a process serves its probes and metrics; `metrics` is None when turned off."""

    health: int
    metrics: int | None


def serve_probes(owner: TaskOwner, settings: CommonSettings, health: Health) -> ProbePorts:
    """Start heartbeat, probes and metrics as tasks of `owner`; raises PortError before any of them runs.

    The probes are answered by a thread, so that a blocked event loop is told and not only suspected.
    """
    metrics.publish_build_info()
    health.home = asyncio.get_running_loop()
    host = settings.bind_address
    probes = HttpServer(health_app(health), name="health", host=host, port=settings.health_port, grace=1.0)
    servers = [probes]
    if settings.metrics_port:
        app = metrics_app(settings.component)
        servers.append(HttpServer(app, name="metrics", host=host, port=settings.metrics_port, grace=1.0))
    try:
        ports = [server.listen() for server in servers]
    except PortError:
        for server in servers:
            server.close()
        raise
    owner.spawn("heartbeat", health.heartbeat.run())
    for server in servers:
        owner.spawn(server.name, serve_in_thread(server) if server is probes else server.run())
    return ProbePorts(health=ports[0], metrics=ports[1] if len(ports) > 1 else None)
