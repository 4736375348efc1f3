"""Child processes that never outlive their parent, and the ports they are given."""

import ctypes
import os
import secrets
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None  # loaded before a fork, never in it
_forking_pid = 0


def _remember_parent() -> None:
    global _forking_pid
    _forking_pid = os.getpid()


os.register_at_fork(before=_remember_parent)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills this child when its parent ends, even by kill -9.

    Linux ties it to the *thread* that started the child: start children from a thread that lives as long as the
    process, such as the event loop's. On other systems nothing happens.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if _forking_pid and os.getppid() != _forking_pid:  # the parent ended before the kernel was told
        os._exit(1)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago, and that no system gives by itself to who asks for any of them."""
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        if port_is_free(port, host):
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server can listen there now; connections that are merely closing don't count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
