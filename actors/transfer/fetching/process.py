"""The fetcher itself: a job that works on its worker's commands, each in a thread, until its socket is closed.

It reads what strangers send, so it keeps little: no capability, no way to mount, to start a program or to reach into
another process. It has the network, and the daemon's own socket, where it is a client like others.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from actors.jobs import CRASHED, JobReport, serve, typed
from actors.transfer.fetching import messages as m
from linux import unixsocket
from wharfie import failpoint, protocol
from wharfie.errors import Internal, WharfieError
from wharfie.types.base import Empty

if TYPE_CHECKING:
    from actors.transfer.fetching.commands import Commands

log = logging.getLogger("fetch")


def fetch(args: bytes, fds: list[int]) -> None:
    """Target of the job; the descriptor is its end of the socket."""
    serve(args, fds, m.FetcherJob, _fetch)


def _fetch(request: m.FetcherJob, fds: list[int], _report: JobReport) -> Empty:
    failpoint.hit("transfer.job.fetch")
    _confine()
    with socket.socket(fileno=fds[0]) as sock:
        data, _ = unixsocket.recv(sock)
        hello = m.decode_command(data)
        assert isinstance(hello, m.Hello), "the first message says who we are"
        _serve(request, hello, sock)
    return Empty()


def _confine() -> None:
    from actors.transfer.unpack import sandbox
    from linux import mount, namespaces, seccomp

    namespaces.unshare_mounts()
    points = [failpoint.directory] if failpoint.directory else []
    for path in points:
        # A test that has points go off in here sees it by a file.
        mount.mount(path, path, flags=mount.MS_BIND)
    sandbox.seal(writable=points, refused=seccomp.PRIVILEGED)


def _serve(request: m.FetcherJob, hello: m.Hello, sock: socket.socket) -> None:
    import wharfie
    from actors.transfer.fetching.commands import Commands
    from actors.transfer.registry.client import Registry
    from actors.transfer.registry.policy import Policy
    from wharfie.version import __version__

    registry = Registry(
        request.hosts_dir,
        hello.credentials,
        f"wharfie/{__version__}",
        policy=Policy.of(request.policy),
        plain_http=request.plain_http,
        skip_verify=request.skip_verify,
    )
    said = _Said(sock)
    with (
        wharfie.connect(request.address, namespace=request.namespace, timeout_s=None) as client,
        ThreadPoolExecutor(max_workers=request.threads, thread_name_prefix="fetch") as pool,
    ):
        commands = Commands(request, registry, client.with_lease(request.lease))
        while True:
            try:
                data, given = unixsocket.recv(sock)
            except (EOFError, ConnectionError):
                # Whatever is under way: nobody waits for it any more.
                os._exit(0)
            command = m.decode_command(data)
            pool.submit(_work, commands, command, given, said)


def _work(commands: Commands, command: m.Said, given: list[int], said: _Said) -> None:
    try:
        result = commands.work(command, given, said)
        said.say(m.Done(id=command.id, body=protocol.encode(result)))
    except WharfieError as error:
        said.say(m.Failed(id=command.id, error=error.to_wire()))
    except OSError as error:
        said.say(m.Failed(id=command.id, error=typed(error).to_wire()))
    except Exception as error:
        log.exception("a command failed")
        crash = Internal(f"{type(error).__name__}: {error}", details={"reason": CRASHED})
        said.say(m.Failed(id=command.id, error=crash.to_wire()))
    finally:
        for fd in given:
            os.close(fd)


class _Said:
    """Our end of the socket, for all threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def say(self, message: m.Answer) -> None:
        """Send; a worker that is gone is no error, the main thread sees it."""
        try:
            with self._lock:
                unixsocket.send(self._sock, m.encode(message))
        except ConnectionError:
            return
