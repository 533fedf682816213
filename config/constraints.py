"""Rules that a value cannot keep alone: what two settings, or a setting and the kernel, have to agree on."""

from __future__ import annotations

import os.path
from collections.abc import Iterator

from config.error import shown
from config.paths import SHIM_SOCKET_NAME_BYTES, Paths
from config.settings import Settings

# sockaddr_un.sun_path has 108 bytes, and the last one is NUL (unix(7)).
SOCKET_PATH_BYTES = 107

# Their modes are set at start: on one of these that would lock everybody else out of the machine.
_SYSTEM_DIRECTORIES = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt"),
        *("/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/lib", "/usr/local"),
        *("/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
    }
)


def violations(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the key and what is wrong with it. The settings have to be complete; only symbolic links are looked at."""
    yield from _directories(settings)
    if settings.root and settings.state:
        yield from _sockets(settings)
    yield from _tcp(settings)
    yield from _supervision(settings)


def _directories(settings: Settings) -> Iterator[tuple[str, str]]:
    for key, value, example in (("root", settings.root, "/var/lib/wharfie"), ("state", settings.state, "/run/wharfie")):
        if not value:
            yield key, f'is empty; name a directory such as "{example}"'
        elif {value, os.path.realpath(value)} & _SYSTEM_DIRECTORIES:
            yield key, f'"{value}" is a directory of the system; name one of its own, such as "{example}"'
    if settings.root and os.path.realpath(settings.root) == os.path.realpath(settings.state):
        yield "state", f'"{settings.state}" is the root directory too; name two different directories'


def _sockets(settings: Settings) -> Iterator[tuple[str, str]]:
    paths = Paths.of(settings)
    shim = f"{paths.shim_sockets}/{'x' * SHIM_SOCKET_NAME_BYTES}"
    room = SOCKET_PATH_BYTES - SHIM_SOCKET_NAME_BYTES - 1
    for key, path, remedy in (
        ("router.address", paths.socket, "name a shorter path"),
        ("shim.address", shim, f"name a directory of at most {room} bytes"),
        ("state", paths.backend_socket, "name a shorter state directory"),
    ):
        length = len(os.fsencode(path))
        if length > SOCKET_PATH_BYTES:
            bound = f"has {length} bytes, more than the {SOCKET_PATH_BYTES} of a Unix socket"
            yield key, f'the socket path "{path}" {bound}; {remedy}'


def _tcp(settings: Settings) -> Iterator[tuple[str, str]]:
    router = settings.router
    if not router.tcp_address:
        return
    for name in ("curve_server_key_file", "curve_allowed_clients_dir"):
        if not getattr(router, name):
            yield (
                "router.tcp_address",
                f"{shown(router.tcp_address)} is refused without CURVE keys; set [router] {name} too",
            )


def _supervision(settings: Settings) -> Iterator[tuple[str, str]]:
    supervisor = settings.supervisor
    if supervisor.backoff_max_s < supervisor.backoff_first_s:
        yield (
            "supervisor.backoff_max_s",
            f"{supervisor.backoff_max_s:g} s is less than backoff_first_s, {supervisor.backoff_first_s:g} s; raise it",
        )
