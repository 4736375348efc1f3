"""The process in which templates become mails: whatever one of them does, it ends here, and nobody else notices.

Reads requests from the socket that is its standard input, and answers each. A request has a bound on the processor's
time: at first an error with the template's line; when that is not heard, because some C code is at work, the end. It
has neither the environment of its parent nor a way to write files, and it goes when its parent does.
"""

import gc
import os
import pickle
import resource
import signal
import socket
from dataclasses import asdict
from functools import cache
from pathlib import Path

import orjson

from engage.templates import wire
from engage.templates.errors import Exhausted, MissingVariables, TemplateProblem
from engage.templates.limits import MEMORY, SECONDS, here
from engage.templates.making import Maker

_LAST = 0.2  # seconds of the processor between the error and the end


def main() -> None:
    """Serve until the parent is gone, or until memory ran out once: then a fresh process is the better one."""
    with socket.socket(fileno=os.dup(0)) as parent:
        _confine()
        gc.freeze()
        parent.sendall(wire.READY)
        fresh = True
        while fresh and (request := wire.receive(parent)) is not None:
            answer, fresh = _answer(request)
            parent.sendall(wire.framed(answer))


def _confine() -> None:
    # What a dying C library has to say helps nobody; the parent tells the cause.
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGVTALRM, _too_long)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_asked = ""  # the template that is at work


def _too_long(*_: object) -> None:
    template, line = here()  # none when it is its HTML that takes so long
    raise TemplateProblem(f"more than {SECONDS:g} s of computing", template=template or _asked, line=line)


def _answer(request: bytes) -> tuple[bytes, bool]:
    """The answer, and whether this process can go on."""
    global _asked
    folders, method, args, kwargs = pickle.loads(request)
    _asked = f"{args[0]}.html"
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        signal.setitimer(signal.ITIMER_PROF, SECONDS + _LAST)
        try:
            made = getattr(_maker(folders), method)(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        return orjson.dumps({"made": made}), True
    except MissingVariables as error:
        lacks = [asdict(lack) for lack in error.lacks]
        return orjson.dumps({"lacks": lacks, "template": error.template}), True
    except MemoryError:
        gc.collect()
        return _problem(Exhausted(f"more than {MEMORY} MB of memory", template=_asked)), False
    except TemplateProblem as error:
        return _problem(error), not isinstance(error, Exhausted)
    except RecursionError:
        return _problem(TemplateProblem("it is nested too deep", template=_asked)), True


def _problem(error: TemplateProblem) -> bytes:
    told = {"reason": error.reason, "template": error.template, "line": error.line, "remedy": error.remedy}
    return orjson.dumps({"problem": told})


@cache
def _maker(folders: tuple[str, ...]) -> Maker:
    return Maker([Path(folder) for folder in folders])


if __name__ == "__main__":
    main()
