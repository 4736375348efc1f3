"""How a process and its renderer talk: frames of a length and as many bytes."""

import socket
import struct

READY = b"ready\n"
_LENGTH = struct.Struct(">I")


def framed(content: bytes) -> bytes:
    """As it goes over the socket."""
    return _LENGTH.pack(len(content)) + content


def receive(other: socket.socket) -> bytes | None:
    """One frame, None when the other side has gone. Raises TimeoutError as the socket is set."""
    head = exactly(other, _LENGTH.size)
    return exactly(other, _LENGTH.unpack(head)[0]) if head is not None else None


def exactly(other: socket.socket, size: int) -> bytes | None:
    """So many bytes, None when the other side has gone before."""
    got = bytearray()
    while len(got) < size:
        try:
            part = other.recv(min(size - len(got), 1024 * 1024))
        except ConnectionError:
            return None
        if not part:
            return None
        got += part
    return bytes(got)
