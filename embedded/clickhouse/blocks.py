"""ClickHouse's own framing of compressed data, which drivers ask for with `compress=1` and `decompress=1`.

A block is the checksum of all that follows (CityHash128 of version 1.0.2, 16 bytes), the method (1 byte), the size of
the block without its checksum and of the data in it (4 bytes each, little-endian), and the packed data. A body is any
number of them, one after another.

Source: ClickHouse, src/Compression/CompressedReadBufferBase.cpp, CompressedWriteBuffer.cpp, CompressionInfo.h.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from embedded.clickhouse.errors import (
    CANNOT_DECOMPRESS,
    CANNOT_READ_ALL_DATA,
    CHECKSUM_DOESNT_MATCH,
    CORRUPTED_DATA,
    TOO_LARGE_SIZE_COMPRESSED,
    UNKNOWN_CODEC,
    QueryFailed,
)

_HEADER: Final = struct.Struct("<BII")
_CHECKSUM: Final = struct.Struct("<QQ")
_FIXED: Final = _CHECKSUM.size + _HEADER.size
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
# Bytes of a block, packed or unpacked: it is held whole. Drivers cut at 1 to 10 MiB, or make one block of a whole batch
# (Go's); the server stops at four times this.
LARGEST: Final = 256 * 1024 * 1024
_LARGE: Final = 2 * 1024 * 1024  # bytes whose unpacking takes more than a millisecond or two
_PIECE: Final = 1024 * 1024  # bytes of data in a block of an answer, as the server's, and in a piece of a request's
_LZ4_RATIO: Final = 255  # no byte of LZ4 can stand for more


def _checksum(packed: bytes) -> bytes:
    both = CityHash128(packed)  # of bytes: it never lets go of any other buffer
    return _CHECKSUM.pack(both >> 64, both & 0xFFFFFFFFFFFFFFFF)


class BlockEncoder:
    """Packs an answer's pieces; each comes out at once. `method` is LZ4, ZSTD or NONE."""

    def __init__(self, method: str = "LZ4") -> None:
        self._method, self._pack = _PACKERS.get(method.upper(), _PACKERS["LZ4"])

    def compress(self, data: bytes) -> bytes:
        """The blocks that hold `data`."""
        return b"".join(self._block(data[start : start + _PIECE]) for start in range(0, len(data), _PIECE))

    def flush(self) -> bytes:
        """Nothing: no block waits for more."""
        return b""

    def _block(self, data: bytes) -> bytes:
        packed = self._pack(data)
        framed = _HEADER.pack(self._method, _HEADER.size + len(packed), len(data)) + packed
        return _checksum(framed) + framed


_PACKERS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "LZ4": (_LZ4, lambda data: bytes(lz4.block.compress(data, store_size=False))),
    "ZSTD": (_ZSTD, lambda data: zstandard.ZstdCompressor(level=1).compress(data)),
    "NONE": (_NONE, lambda data: data),
}


class BlockDecoder:
    """Unpacks a request's body block by block; raises QueryFailed with the server's codes for what is no such body."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def heavy(self) -> bool:
        """Whether the block that comes next takes long to unpack."""
        return len(self._held) >= _FIXED and max(self._sizes()) > _LARGE

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of every block that is complete now, in pieces of 1 MiB at most."""
        self._held += data
        while len(self._held) >= _FIXED:
            size, unpacked_size = self._sizes()
            end = _CHECKSUM.size + size
            if len(self._held) < end:
                return
            told, block = bytes(self._held[: _CHECKSUM.size]), bytes(self._held[_CHECKSUM.size : end])
            del self._held[:end]
            unpacked = _unpack(block, told, unpacked_size)
            for start in range(0, len(unpacked), _PIECE):
                yield unpacked[start : start + _PIECE]

    def finish(self) -> None:
        """To be called at the end of the body."""
        if self._held:
            wanted = _CHECKSUM.size + self._sizes()[0] if len(self._held) >= _FIXED else _FIXED
            cause = f"Cannot read all data. Bytes read: {len(self._held)}. Bytes expected: {wanted}."
            raise QueryFailed.of(CANNOT_READ_ALL_DATA, cause)

    def _sizes(self) -> tuple[int, int]:
        """The first block's sizes, without its checksum and unpacked; believed only after they make sense."""
        method, size, unpacked_size = _HEADER.unpack_from(self._held, _CHECKSUM.size)
        if method not in (_NONE, _LZ4, _ZSTD):
            raise QueryFailed.of(UNKNOWN_CODEC, f"Unknown codec family code: {method}")
        if size > LARGEST or unpacked_size > LARGEST:
            cause = (
                f"Too large size_compressed_without_checksum: {max(size, unpacked_size)}. Most likely corrupted data."
            )
            raise QueryFailed.of(TOO_LARGE_SIZE_COMPRESSED, cause)
        if size < _HEADER.size:
            cause = f"the compressed data size ({size}) is less than the header size ({_HEADER.size})"
            raise QueryFailed.of(CORRUPTED_DATA, f"Can't decompress data: {cause}")
        return size, unpacked_size


def _unpack(block: bytes, checksum: bytes, size: int) -> bytes:
    """The data of a whole block without its checksum, `size` bytes by its own word."""
    if checksum != (actual := _checksum(block)):
        cause = f"Checksum doesn't match: corrupted data. Reference: {checksum.hex()}. Actual: {actual.hex()}."
        raise QueryFailed.of(CHECKSUM_DOESNT_MATCH, f"{cause} Size of compressed block: {len(block)}")
    method, packed = block[0], memoryview(block)[_HEADER.size :]
    try:
        if method == _NONE:
            unpacked = bytes(packed)
        elif method == _LZ4:
            unpacked = _unpack_lz4(packed, size)
        else:
            unpacked = _unpack_zstd(packed, size)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise QueryFailed.of(CANNOT_DECOMPRESS, f"Cannot decompress a block: {error}") from error
    if len(unpacked) != size:
        cause = f"Cannot decompress a block: it holds {len(unpacked)} bytes and says {size}"
        raise QueryFailed.of(CANNOT_DECOMPRESS, cause)
    return unpacked


def _unpack_lz4(packed: memoryview, size: int) -> bytes:
    if size > len(packed) * _LZ4_RATIO:  # before memory is taken for it
        raise ValueError(f"{len(packed)} bytes of LZ4 can't hold {size}")
    return bytes(lz4.block.decompress(packed, uncompressed_size=size))


def _unpack_zstd(packed: memoryview, size: int) -> bytes:
    told = zstandard.frame_content_size(packed)
    if told not in (-1, size):  # what the frame says is what would be taken
        raise ValueError(f"its ZSTD frame holds {told} bytes, and the block says {size}")
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size, allow_extra_data=False)
