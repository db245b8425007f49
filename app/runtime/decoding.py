"""The body of an HTTP answer, read and decoded within bounds: what an answer says of itself costs no memory.

At most one `gzip` or `deflate` is decoded. Encodings in each other multiply: 2.6 kB can stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable
from dataclasses import dataclass

_AUTOMATIC = 32 + zlib.MAX_WBITS
"""zlib and gzip, by the header."""
_HEADER_BYTES = 2
_DECODED = ("gzip", "x-gzip", "deflate")
_ENCODED_SPARE = 64 * 1024
"""Encoded bytes that are read beyond the limit of decoded ones: small texts grow when they are encoded."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was read. `truncated` when there was more; `left_out` says why nothing was kept, where that is so."""

    data: bytes = b""
    truncated: bool = False
    left_out: str = ""


async def read_body(chunks: AsyncIterable[bytes], encoding: str, limit: int) -> Body:
    """Read at most `limit` decoded bytes of `chunks`, which come as they were sent with this Content-Encoding."""
    encodings = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not encodings:
        return await _read_plain(chunks, limit)
    if len(encodings) > 1 or encodings[0] not in _DECODED:
        shown = ", ".join(encodings)[:100]
        return Body(left_out=f"its body has the encoding {shown}, and only one gzip or deflate is decoded")
    try:
        return await _read_encoded(chunks, limit)
    except zlib.error:
        return Body(left_out=f"its body is no valid {encodings[0]}")


async def _read_plain(chunks: AsyncIterable[bytes], limit: int) -> Body:
    data = bytearray()
    async for chunk in chunks:
        data += chunk[: limit + 1 - len(data)]
        if len(data) > limit:
            break
    return Body(bytes(data[:limit]), truncated=len(data) > limit)


async def _read_encoded(chunks: AsyncIterable[bytes], limit: int) -> Body:
    decoder, data, read = _Decoder(), bytearray(), 0
    async for chunk in chunks:
        read += len(chunk)
        data += decoder.decode(chunk, limit + 1 - len(data))
        if len(data) > limit or read > limit + _ENCODED_SPARE:
            return Body(bytes(data[:limit]), truncated=True)
    return Body(bytes(data), truncated=not decoder.complete)


class _Decoder:
    """Decodes gzip of any number of members, zlib, and deflate without a header."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_AUTOMATIC)
        self._head: bytes | None = b""
        """The first bytes, until there are enough to tell whether there is a header."""

    @property
    def complete(self) -> bool:
        """Whether the end of the text has come, or nothing at all."""
        return self._inner.eof or self._head == b""

    def decode(self, chunk: bytes, most: int) -> bytes:
        """Decode a chunk into at most `most` bytes. Raises `zlib.error`."""
        if self._head is not None:
            chunk = self._head + chunk
            if len(chunk) < _HEADER_BYTES:
                self._head = chunk
                return b""
            self._head = None
            if not _has_header(chunk):
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        out = bytearray()
        while chunk and len(out) < most:
            if self._inner.eof:
                self._inner = zlib.decompressobj(_AUTOMATIC)
            out += self._inner.decompress(chunk, most - len(out))
            chunk = self._inner.unused_data or self._inner.unconsumed_tail
        return bytes(out)


def _has_header(data: bytes) -> bool:
    """Whether data begins as gzip or zlib does (RFC 1952, RFC 1950)."""
    return data.startswith(b"\x1f\x8b") or (data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0)
