"""`python -m embedded.clickhouse --data DIR --port N`: serves until SIGTERM or SIGINT, then closes cleanly."""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from embedded.clickhouse.confinement import confine
from embedded.clickhouse.logins import READER, User, Users, logins
from schemas.errors import ConfigurationError
from schemas.hosts import OwnHosts

_MAX_BODY = 1024**3
_DRAIN = 10.0  # seconds that running queries have when the server is told to end; then they fail


async def serve(args: argparse.Namespace, users: Users) -> None:
    """Runs the server. The chosen port is in `DIR/http_port` once requests are answered."""
    from embedded.clickhouse.engine import Engine  # loads half a gigabyte: not for --help or a wrong argument
    from embedded.clickhouse.server import Server

    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, ended.set)
    announced = args.data / "http_port"
    engine = Engine(args.data, args.flush)
    try:
        announced.unlink(missing_ok=True)
        server = Server(engine, users, OwnHosts.of(args.host, hosts=args.hosts.split(",")), args.max_body)
        runner = web.AppRunner(
            server.application(),
            auto_decompress=False,
            access_log=None,
            shutdown_timeout=2 * _DRAIN,
            handler_cancellation=True,  # a client that leaves ends its query
        )
        await runner.setup()
        try:
            await _listen(runner, args.host, args.port)
            temporary = announced.with_suffix(".new")
            temporary.write_text(str(runner.addresses[0][1]), encoding="ascii")
            temporary.rename(announced)
            await ended.wait()
            asyncio.get_running_loop().call_later(_DRAIN, server.end_queries)
        finally:
            await runner.cleanup()
            server.close()
            announced.unlink(missing_ok=True)
    finally:
        engine.close()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=512).start()
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} for ClickHouse can't be used on {host}: {os.strerror(error.errno or 0)}.",
            remedy="choose another with --clickhouse-port, 0 for any",
        ) from error


def _users(args: argparse.Namespace) -> Users:
    """By name; CLICKHOUSE_PASSWORD takes the place of the password that the directory has."""
    known = logins(args.data)
    if args.user == READER:
        raise ConfigurationError(
            f"The user {READER} of ClickHouse only reads.", remedy="choose another CLICKHOUSE_USER"
        )
    return {
        args.user: User(os.environ.get("CLICKHOUSE_PASSWORD") or known.password, reads_only=False),
        READER: User(known.reader_password, reads_only=True),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m embedded.clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the directory that keeps everything")
    parser.add_argument("--port", type=int, default=8123, help="0 for any free one, told in DIR/http_port")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--hosts", default="", help="further names by which it is reached, comma-separated")
    parser.add_argument("--user", default="default", help="who may do everything; the passwords are in DIR/logins.json")
    parser.add_argument("--flush", action="store_true", help="acknowledge an insert only when it is on the disk")
    parser.add_argument("--max-body", type=int, default=_MAX_BODY, help="bytes of a request, unpacked (default 1 GiB)")
    return parser.parse_args()


def main() -> int:
    """Exit code 0 after a clean end, 2 when it could not start, with the cause on stderr."""
    args = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    args.data = args.data.absolute()
    os.environ["TZ"] = "UTC"  # the engine's own time zone: the same on every machine
    try:
        users = _users(args)
        temporary = args.data / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        os.chdir(temporary)  # where a table's name is no file's: the engine would look for one
        os.environ["TMPDIR"] = str(temporary)
        confine(args.data)
        uvloop.run(serve(args, users))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\nTry: {error.remedy}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
