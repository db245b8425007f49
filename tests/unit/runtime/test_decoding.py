"""Bodies of HTTP answers are decoded within bounds, whatever they say of themselves."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from app.runtime.decoding import Body, read_body

LIMIT = 1000
BOMB = gzip.compress(b"\0" * 50_000_000, mtime=0)
NESTED = gzip.compress(BOMB, mtime=0)


async def chunks(data: bytes, size: int = 16 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(data: bytes, encoding: str, *, size: int = 16 * 1024) -> Body:
    return await read_body(chunks(data, size), encoding, LIMIT)


@pytest.mark.parametrize("size", [1, 7, 16 * 1024])
@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"hello", ""),
        (b"hello", "identity, Identity"),
        (gzip.compress(b"hello", mtime=0), "gzip"),
        (gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0), "X-GZIP"),
        (zlib.compress(b"hello"), "deflate"),
        (zlib.compress(b"hello", wbits=-15), "identity, deflate"),
    ],
)
async def test_one_encoding_is_decoded(data: bytes, encoding: str, size: int) -> None:
    assert await read(data, encoding, size=size) == Body(b"hello")


async def test_a_body_that_ends_too_early_is_truncated() -> None:
    assert await read(gzip.compress(b"hello", mtime=0)[:-9], "gzip") == Body(b"hello", truncated=True)
    assert await read(b"", "gzip") == Body()


@pytest.mark.parametrize(
    ("data", "encoding", "told"),
    [
        (NESTED, "gzip, gzip", "has the encoding gzip, gzip"),
        (NESTED, "gzip,deflate,gzip", "has the encoding gzip, deflate, gzip"),
        (b"x", "br", "has the encoding br"),
        (b"x", "zstd," * 500, "has the encoding zstd"),
        (b"no gzip at all", "gzip", "is no valid gzip"),
        (gzip.compress(b"hello", mtime=0) + b"junk", "gzip", "is no valid gzip"),
    ],
)
async def test_what_is_not_decoded_is_left_out_and_told(data: bytes, encoding: str, told: str) -> None:
    body = await read(data, encoding)
    assert body.data == b""
    assert told in body.left_out
    assert len(body.left_out) < 250


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        NESTED,
        gzip.compress(b"", mtime=0) * 100_000,
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\0\0\0\xff\xff" * 200_000,
    ],
    ids=["bomb", "once of two", "empty members", "empty blocks"],
)
async def test_bombs_take_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        body = await read(data, "gzip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body.truncated
    assert len(body.data) <= LIMIT
    assert peak < 1_000_000
