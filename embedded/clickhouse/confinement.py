"""What the kernel lets the engine's process touch: its own data, and to read the programs that it is made of.

The engine has no rights of its own by which a statement could be kept from this machine's files. Landlock (Linux 5.13;
connections since 6.7) keeps it from them whatever the statement is: the rules in `outside.py` give a clear answer, this
is the wall behind them. Where the kernel has none, those rules stand alone.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Final

import embedded
import schemas

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READING: Final = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}  # by version: all that has to do with files
_CONNECT_TCP: Final = 1 << 1
_NEEDED: Final = (
    "/usr /lib /lib64 /bin /opt /proc /sys /etc/ld.so.cache /etc/localtime /etc/nsswitch.conf /etc/hosts "
    "/etc/host.conf /etc/gai.conf /etc/resolv.conf".split()
)


def confine(data: Path) -> bool:
    """From now on: this thread, and all that come of it, write below `data` alone and connect to nothing.

    False where the kernel can't. To be called while there is one thread, and before the engine is loaded.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    rights = _RIGHTS[min(version, max(_RIGHTS))]
    attributes = struct.pack("=QQ", rights, _CONNECT_TCP) if version >= 4 else struct.pack("=Q", rights)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        own = (Path(embedded.__file__).parent, Path(schemas.__file__).parent)
        for path in (*map(Path, _NEEDED), Path(sys.prefix), Path(sys.base_prefix), *own):
            _allow(libc, ruleset, path, _READING & rights)
        _allow(libc, ruleset, Path("/dev"), (_READING | _WRITE_FILE) & rights)
        _allow(libc, ruleset, data, rights)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """What is below `path`; one that isn't there needs no rule."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _OF_FILES
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, opened), 0)
    finally:
        os.close(opened)
