"""Heads of answers are held for their bodies, and for nothing else."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from app.service.one_piece import HoldingHeads

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Written:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.pieces.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.pieces


@pytest.fixture
async def written() -> Written:
    return Written()


def holding(written: Written) -> HoldingHeads:
    return HoldingHeads(cast(asyncio.Transport, written), asyncio.get_running_loop())


async def test_head_and_body_leave_together(written: Written) -> None:
    transport = holding(written)
    transport.write(HEAD)
    assert written.pieces == []
    transport.write(b"ok")
    await asyncio.sleep(0)
    assert written.pieces == [HEAD + b"ok"]


async def test_a_head_without_body_leaves_with_the_next_turn_of_the_loop(written: Written) -> None:
    transport = holding(written)
    transport.write(HEAD)
    await asyncio.sleep(0)
    transport.write(b"ok")
    assert written.pieces == [HEAD, b"ok"]


async def test_what_is_held_leaves_before_the_connection_is_closed(written: Written) -> None:
    transport = holding(written)
    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)
    assert written.pieces == [HEAD, b"closed"]
    assert transport.is_closing()


async def test_every_answer_on_a_connection_leaves_in_one_piece(written: Written) -> None:
    transport = holding(written)
    for _ in range(2):
        transport.write(HEAD)
        transport.write(b"ok")
    assert written.pieces == [HEAD + b"ok"] * 2
