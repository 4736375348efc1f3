"""Content codings: what is packed is unpacked, in any pieces; rubbish is refused."""

import gzip
import zlib

import lz4.frame
import pytest
import zstandard

from embedded.clickhouse.compression import Decoder, encoder
from embedded.clickhouse.errors import QueryFailed

DATA = b"the same line again\n" * 5000
PACKED = {
    "gzip": gzip.compress(DATA),
    "deflate": zlib.compress(DATA),
    "zstd": zstandard.ZstdCompressor().compress(DATA),
    "lz4": lz4.frame.compress(DATA),
}


def unpack(decoder: Decoder, packed: bytes) -> bytes:
    return b"".join(decoder.feed(packed))


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_packed_body_is_unpacked_in_any_pieces(coding: str, size: int) -> None:
    decoder = Decoder(coding)
    packed = PACKED[coding]
    unpacked = b"".join(unpack(decoder, packed[at : at + size]) for at in range(0, len(packed), size))
    decoder.finish()
    assert unpacked == DATA


@pytest.mark.parametrize("coding", PACKED)
def test_several_frames_are_one_body(coding: str) -> None:
    decoder = Decoder(coding)
    assert unpack(decoder, PACKED[coding] * 2) == DATA * 2
    decoder.finish()


@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_is_cut_off_or_garbled_is_refused(coding: str) -> None:
    cut = Decoder(coding)
    unpack(cut, PACKED[coding][:-5])
    with pytest.raises(QueryFailed, match="CANNOT_DECOMPRESS"):
        cut.finish()
    with pytest.raises(QueryFailed, match="CANNOT_DECOMPRESS"):
        unpack(Decoder(coding), b"this is not packed at all")


@pytest.mark.parametrize("coding", PACKED)
def test_an_answer_is_packed_as_the_client_accepts(coding: str) -> None:
    chosen = encoder(f"br, {coding};q=0.5")
    assert chosen is not None
    name, packer = chosen
    assert name == coding
    assert unpack(Decoder(coding), packer.compress(DATA) + packer.flush()) == DATA


def test_nothing_is_packed_unasked() -> None:
    assert encoder("") is None
    assert encoder("br, gzip;q=0") is None


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(QueryFailed, match="Unknown compression method: xz"):
        Decoder("xz")


@pytest.mark.parametrize("coding", PACKED)
def test_a_little_that_holds_a_lot_is_unpacked_in_bounded_pieces(coding: str) -> None:
    zeros = bytes(64 * 1024 * 1024)
    pack = {
        "gzip": lambda: gzip.compress(zeros, 1),
        "deflate": lambda: zlib.compress(zeros, 1),
        "zstd": lambda: zstandard.ZstdCompressor(level=1).compress(zeros),
        "lz4": lambda: lz4.frame.compress(zeros),
    }
    pieces = [len(piece) for piece in Decoder(coding).feed(pack[coding]())]
    assert sum(pieces) == len(zeros)
    assert max(pieces) <= 33 * 1024 * 1024
