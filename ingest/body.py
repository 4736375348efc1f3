"""A request's body: read within its bound, kept packed until it is whole, then unpacked within the same bound."""

import zlib

from aiohttp import web

_PACKED = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body is larger than it may be, as it came or unpacked."""


class Unreadable(Exception):
    """The body can't be unpacked; `str()` says why."""


def whole(request: web.BaseRequest, limit: int) -> bytes | None:
    """The body if it came with the head, as most do; None when more has to be waited for. Raises TooLarge."""
    if not request.content.is_eof():
        return None
    body = request.content.read_nowait()
    if len(body) > limit:
        raise TooLarge
    return body


async def rest(request: web.BaseRequest, limit: int) -> bytearray:
    """The body as it came, however long that takes. Raises TooLarge at the first byte over `limit`, else what aiohttp
    raises for a client that hangs up or breaks the protocol.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge
    body = bytearray()
    try:
        while not request.content.at_eof():
            body += await request.content.readany()
            if len(body) > limit:
                raise TooLarge
    except BaseException:
        body.clear()  # the request and the exception's traceback hold each other: it would wait for the collector
        raise
    return body


def unpacked(body: bytes | bytearray, encoding: str, limit: int) -> bytes | bytearray:
    """The body that was sent with this Content-Encoding: at most `limit` bytes are ever made of it.

    Raises TooLarge, Unreadable.
    """
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return body
    if encoding not in _PACKED:
        raise Unreadable("the body's Content-Encoding is not gzip or deflate")
    # What calls itself deflate has zlib's header or, of some senders, none at all.
    bare = encoding == "deflate" and body[:1] and body[0] & 0x0F != zlib.DEFLATED
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if bare else _GZIP_OR_ZLIB)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable(f"the body is no {encoding}") from error
    if len(plain) > limit:
        raise TooLarge
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable(f"the body is not whole {encoding}, and nothing else")
    return plain
