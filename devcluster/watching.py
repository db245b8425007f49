"""A watch of one collection in a thread: what it told of each object, in order, and waiting for something in it."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from devcluster.control_plane import ControlPlane

T = TypeVar("T")
END_SECONDS = 5.0
"""How long the thread may take to notice that its connection was shut down."""


class Watched(Generic[T]):
    """The events of a collection by name of the object.

    Args:
        take: makes the name of the object and what is to be kept of a line of the watch, at the moment it arrives.
    """

    def __init__(self, take: Callable[[bytes], tuple[str, T]]) -> None:
        self._take = take
        self._seen: dict[str, list[T]] = {}
        self._news = threading.Condition()

    def events(self, name: str) -> list[T]:
        """What has been seen of an object so far, in order."""
        with self._news:
            return list(self._seen.get(name, ()))

    def first(self, name: str, test: Callable[[T], bool], timeout: float) -> T | None:
        """The first event that passes `test`, waited for; None when there is none in time."""

        def passing() -> T | None:
            return next((seen for seen in self._seen.get(name, ()) if test(seen)), None)

        with self._news:
            self._news.wait_for(lambda: passing() is not None, timeout)
            return passing()

    def read(self, stream: http.client.HTTPResponse) -> None:
        """Take in lines until the connection is closed."""
        with suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while line := stream.readline():
                name, seen = self._take(line)
                with self._news:
                    self._seen.setdefault(name, []).append(seen)
                    self._news.notify_all()


@contextmanager
def watching(plane: ControlPlane, collection: str, watched: Watched[T]) -> Iterator[None]:
    """Watch a collection, given by its path, as the admin until the end of the block.

    Raises:
        RequestError: the collection cannot be listed.
        http.client.HTTPException, OSError: the API server did not accept the watch.
    """
    version = plane.api.get(f"{collection}?limit=1")["metadata"]["resourceVersion"]
    connection = open_connection(plane, timeout=None)
    headers = {"Authorization": f"Bearer {plane.identity('admin').token}"}
    connection.request("GET", f"{collection}?watch=true&resourceVersion={version}", headers=headers)
    stream = connection.getresponse()
    if stream.status != http.HTTPStatus.OK:
        raise http.client.HTTPException(f"the watch of {collection} is refused: {stream.read()!r}")
    thread = threading.Thread(target=watched.read, args=(stream,), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(2)
        thread.join(timeout=END_SECONDS)
        stream.close()
        connection.close()


def open_connection(plane: ControlPlane, timeout: float | None = 30.0) -> http.client.HTTPSConnection:
    """A connection to the API server that stays open between requests."""
    address = urlsplit(plane.server)
    trust = ssl.create_default_context(cadata=plane.authority.pem.decode())
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=timeout, context=trust)
    connection.connect()
    return connection
