"""ClickHouse's own framing: what is packed is unpacked, in any pieces, and nothing else is taken for it."""

import struct

import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from embedded.clickhouse.blocks import LARGEST, BlockDecoder, BlockEncoder, _checksum
from embedded.clickhouse.compression import Decoder, Packing
from embedded.clickhouse.errors import QueryFailed

METHODS = ["LZ4", "ZSTD", "NONE"]
FAULTS = (33, 39, 40, 246, 271, 432)
DATA = b"the same line again\n" * 100_000


def block(method: int, packed: bytes, size: int, packed_size: int | None = None) -> bytes:
    """One block, whose checksum is right whatever else is wrong."""
    framed = struct.pack("<BII", method, len(packed) + 9 if packed_size is None else packed_size, size) + packed
    return _checksum(framed) + framed


def unpack(body: bytes, size: int = 0) -> bytes:
    decoder = BlockDecoder()
    parts = [body[at : at + size] for at in range(0, len(body), size)] if size else [body]
    unpacked = b"".join(piece for part in parts for piece in decoder.feed(part))
    decoder.finish()
    return unpacked


def refusal(body: bytes) -> int:
    with pytest.raises(QueryFailed) as raised:
        unpack(body)
    return raised.value.code


@pytest.mark.parametrize(
    ("written", "data"),
    [
        ("b4b7d185bc00d0dab9d40bd709f831a08218000000290000005f2874696c6c04000c506c74696c6c", b"(" + b"till" * 10),
        (
            "ba86dce306f2a30297d971cac7cced34901d0000002900000028b52ffd20295d0000282874696c6c0100279d16",
            b"(" + b"till" * 10,
        ),
        ("c7d609853027507226191d38c8dfd1b1020e000000050000000474696c6c", b"\x04till"),
    ],
    ids=["LZ4", "ZSTD", "NONE"],
)
def test_the_engines_own_blocks_are_read(written: str, data: bytes) -> None:
    """Its files of columns are framed alike; these are three with one string each."""
    assert unpack(bytes.fromhex(written)) == data


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 7, 100_000])
def test_a_body_is_unpacked_in_any_pieces(method: str, size: int) -> None:
    data = DATA if size != 1 else DATA[:5000]
    packed = BlockEncoder(method).compress(data)
    assert unpack(packed, size) == data
    assert unpack(packed * 2, size) == data * 2


@given(st.lists(st.binary(max_size=2000)), st.sampled_from(METHODS), st.integers(1, 500))
def test_whatever_goes_in_comes_out(pieces: list[bytes], method: str, size: int) -> None:
    encoder = BlockEncoder(method)
    assert unpack(b"".join(map(encoder.compress, pieces)) + encoder.flush(), size) == b"".join(pieces)


@given(st.binary(max_size=200))
def test_rubbish_is_refused(body: bytes) -> None:
    assert body == b"" or refusal(body) in FAULTS


@given(st.data(), st.sampled_from(METHODS))
def test_a_single_flipped_bit_is_seen(data: st.DataObject, method: str) -> None:
    body = bytearray(BlockEncoder(method).compress(DATA[:300]))
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    assert refusal(bytes(body)) in FAULTS


def test_each_fault_has_the_servers_code() -> None:
    packed = lz4.block.compress(b"x" * 100, store_size=False)
    good = block(0x82, packed, 100)
    assert unpack(good) == b"x" * 100
    assert refusal(bytes(16) + good[16:]) == 40  # checksum
    assert refusal(good[:-1]) == refusal(good[:20]) == refusal(good + b"\0") == 33  # cut off
    assert refusal(block(0x99, packed, 100)) == 432  # method
    assert refusal(block(0x82, packed, LARGEST + 1)) == 39
    assert refusal(block(0x82, packed, 100, LARGEST + 1)) == 39
    assert refusal(block(0x82, packed, 100, 8)) == 246
    assert refusal(block(0x82, b"\xff" * 20, 100)) == 271
    assert refusal(block(0x82, packed, 99)) == refusal(block(0x82, packed, 101)) == 271
    assert refusal(block(0x02, b"abc", 4)) == 271
    squeezed = zstandard.ZstdCompressor().compress(b"x" * 100)
    assert unpack(block(0x90, squeezed, 100)) == b"x" * 100
    assert refusal(block(0x90, squeezed, 99)) == refusal(block(0x90, squeezed, 101)) == 271
    assert refusal(block(0x90, squeezed[:-1], 100)) == refusal(block(0x90, b"abc", 100)) == 271


def test_no_memory_is_taken_for_a_size_that_cannot_be() -> None:
    import tracemalloc

    lies = zstandard.ZstdCompressor(level=1).compress(bytes(LARGEST))
    tracemalloc.start()
    try:
        assert refusal(block(0x82, b"\x00" * 50, LARGEST)) == 271
        assert refusal(block(0x90, lies, 1000)) == 271
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_data_come_out_in_small_pieces() -> None:
    packed = block(0x82, lz4.block.compress(bytes(64 * 1024 * 1024), store_size=False), 64 * 1024 * 1024)
    pieces = [len(piece) for piece in BlockDecoder().feed(packed)]
    assert sum(pieces) == 64 * 1024 * 1024
    assert max(pieces) <= 1024 * 1024


def test_an_answer_can_be_packed_twice() -> None:
    packing = Packing("gzip", "ZSTD")
    assert packing.coding == "gzip"
    packed = packing.pack(DATA) + packing.pack(b"", last=True)
    assert unpack(b"".join(Decoder("gzip").feed(packed))) == DATA
