"""HTTP content codings of requests and answers, piece by piece: gzip, deflate, zstd and lz4.

An answer can be packed twice, as with the server: in ClickHouse's own framing, and that in a content coding.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import lz4.frame
import zstandard

from embedded.clickhouse.blocks import BlockEncoder
from embedded.clickhouse.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, QueryFailed

_SLICE = 1024  # bytes unpacked at a time: at most 32 MiB, which is what zstd can make of them


class Encoder(Protocol):
    """Compresses an answer's pieces."""

    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class _Lz4Encoder:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        head = b"" if self._begun else self._frame.begin()
        self._begun = True
        return bytes(head + self._frame.compress(data))

    def flush(self) -> bytes:
        head = b"" if self._begun else self._frame.begin()
        return bytes(head + self._frame.flush())


# Fast levels: the wire is a loopback or a local network.
_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": _Lz4Encoder,
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(3, wbits=31),
    "deflate": lambda: zlib.compressobj(3),
}


def encoder(accepted: str) -> tuple[str, Encoder] | None:
    """The content coding to answer in, by an Accept-Encoding header; None for none."""
    offered = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        offered[name.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    for name, make in _ENCODERS.items():
        if offered.get(name, False):
            return name, make()
    return None


class Packing:
    """How one answer is packed: by its client's Accept-Encoding, and by the method of its framing, each '' for none."""

    def __init__(self, accepted: str, framing: str) -> None:
        coded = encoder(accepted)
        self.coding = coded[0] if coded else ""  # the Content-Encoding
        self._encoders: list[Encoder] = [BlockEncoder(framing)] if framing else []
        if coded:
            self._encoders.append(coded[1])

    def pack(self, data: bytes, *, last: bool = False) -> bytes:
        """What can be sent after `data`; with `last`, all that is left."""
        for one in self._encoders:
            data = one.compress(data) if data else data
            if last:
                data += one.flush()
        return data

    def __bool__(self) -> bool:
        return bool(self._encoders)


class Decoder:
    """Unpacks a request's body piece by piece; raises QueryFailed for an unknown coding, bad or cut-off data."""

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        self._object: Any = self._make()

    def _make(self) -> Any:
        match self._coding:
            case "" | "identity":
                return None
            case "gzip" | "x-gzip":
                return zlib.decompressobj(wbits=31)
            case "deflate":
                return zlib.decompressobj()
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj()
            case "lz4":
                return lz4.frame.LZ4FrameDecompressor()
        raise QueryFailed.of(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method: {self._coding}")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next unpacked bytes, in pieces: a little data may hold a lot, and the caller can stop in between."""
        if self._object is None:
            yield data
            return
        for start in range(0, len(data), _SLICE):
            packed = data[start : start + _SLICE]
            while packed:
                unpacked, packed = self._unpack(packed)
                if unpacked:
                    yield unpacked

    def _unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """What was unpacked, and what is left of `packed`."""
        try:
            if self._object.eof:  # several frames, one after another
                self._object = self._make()
            unpacked = self._object.decompress(packed)
        except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
            raise QueryFailed.of(CANNOT_DECOMPRESS, f"Cannot decompress {self._coding}: {error}") from error
        return unpacked, (self._object.unused_data or b"") if self._object.eof else b""

    def finish(self) -> None:
        """To be called at the end of the body."""
        if self._object is not None and not self._object.eof:
            raise QueryFailed.of(CANNOT_DECOMPRESS, f"Cannot decompress {self._coding}: the data end too early")
