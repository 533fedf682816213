"""Telling systemd how the daemon is: the client side of sd_notify(3), without libsystemd.

Every call sends one datagram to the socket that NOTIFY_SOCKET names, and does nothing where it is unset. A failure is
logged and never more: a service manager that does not listen must not cost a container. Only the daemon's own process
may send (NotifyAccess=main), so the variables are taken out of the environment: children inherit neither.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

logger = logging.getLogger(__name__)

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends states to the service manager. `watchdog_interval_s` is how often `watchdog` has to be called, or None."""

    def __init__(self, address: str = "", *, watchdog_interval_s: float | None = None) -> None:
        self.address = address
        self.watchdog_interval_s = watchdog_interval_s

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> Notifier:
        """Return the notifier that the environment describes, and take its variables out of the environment."""
        variables = os.environ if environ is None else environ
        notifier = cls(
            variables.get("NOTIFY_SOCKET", ""), watchdog_interval_s=watchdog_interval_s(variables, os.getpid())
        )
        for name in _VARIABLES:
            variables.pop(name, None)
        return notifier

    def ready(self, status: str = "") -> bool:
        """The daemon answers requests."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time is systemd's condition for Type=notify-reload."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The daemon stops."""
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """Show one line in `systemctl status`."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """The daemon is healthy; silence for twice `watchdog_interval_s` has it killed."""
        return self._send("WATCHDOG=1")

    def watchdog_trigger(self) -> bool:
        """The daemon found out itself that it is broken: act as if the watchdog had run out."""
        return self._send("WATCHDOG=trigger")

    def failed(self, errno: int, status: str = "") -> bool:
        """The daemon ends because of an error of the system."""
        return self._send(f"ERRNO={errno}", *_status(status))

    def main_pid(self, pid: int) -> bool:
        """Another process is the service's main one from now on."""
        return self._send(f"MAINPID={pid}")

    def extend_timeout(self, seconds: float) -> bool:
        """Starting, reloading or stopping takes this much longer from now."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, *assignments: str) -> bool:
        """Send one datagram; return whether the service manager has it."""
        if not self.address or not assignments:
            return False
        try:
            target = _target(self.address)
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as sender:
                sender.sendto("\n".join(assignments).encode(), target)
        except (OSError, ValueError) as error:
            logger.warning(
                "service manager not notified",
                extra={"socket": self.address, "states": " ".join(assignments), "error": str(error)},
            )
            return False
        return True


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return half of WATCHDOG_USEC in seconds, or None if no watchdog is set or it is meant for another process.

    Half, because sd_watchdog_enabled(3) recommends it: one late message does not kill the daemon. Pure.
    """
    text = environ.get("WATCHDOG_USEC", "")
    wanted = environ.get("WATCHDOG_PID", "")
    if not text or (wanted and wanted != str(pid)):
        return None
    if not text.isdecimal() or not 0 < int(text) < 1 << 63:
        logger.warning("watchdog is off: WATCHDOG_USEC is not a number of microseconds", extra={"value": text})
        return None
    return int(text) / 2 / 1_000_000


def _target(address: str) -> str:
    if address.startswith("@"):
        return "\0" + address[1:]
    if address.startswith("/"):
        return address
    raise ValueError("NOTIFY_SOCKET is neither a path nor an abstract socket")


def _status(text: str) -> tuple[str, ...]:
    # A line break would begin another assignment.
    return (f"STATUS={' '.join(text.split())}",) if text.strip() else ()
