"""The daemon's life: from settings to the exit code, in the order of docs/operations.md.

Before this module: flags, the configuration file, flags over it (`supervisor.main`). Here: top directories, signals,
the lock on the root, leftovers of an earlier run, the plugin graph, the actors, READY=1; then the loop until a signal
or the policy ends it; then the actors in reverse order, and the lock given back. Everything that may be slow happens in
the loop or in an errand, so that SIGTERM ends a boot at any point.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec

from actors.control import Reloaded as ReloadedMessage
from config import lock
from config import log as log_setup
from config import paths as config_paths
from config.error import ConfigError
from config.load import Loaded
from config.paths import Paths
from config.reload import reload as compare
from config.settings import Settings
from linux.prctl import command_line_area, set_child_subreaper, set_name
from supervisor import errand, limits, preparation, roster, view
from supervisor.events import Verb
from supervisor.inspect import Inspector
from supervisor.loop import Loop, Signals
from supervisor.notify import Notifier
from supervisor.processes import Supervisor
from supervisor.state import booted, degraded, healthy
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.types.introspection import Server
from wharfie.types.supervisor import Reloaded
from wharfie.version import __version__

log = logging.getLogger("supervisor")

PLUGIN_GRAPH_S = 10.0
STATE_DUMP = "gave-up.json"
"""In the state directory: what the supervisor knew when it gave up."""


class Interrupted(Exception):
    """A signal ended the boot."""


class Refused(Exception):
    """The daemon cannot run here; the sentence says why."""


class Daemon:
    """One daemon. `read` loads the configuration again, with the flags of the start; `started_s` is when it began."""

    def __init__(self, loaded: Loaded, *, read: Callable[[], Loaded], started_s: float) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._read = read
        self._started_s = started_s
        self._started_ns = time.time_ns()
        self._paths = Paths.of(loaded.settings)
        self._uuid = ""
        self._loop = Loop()
        self._notifier = Notifier.from_environment()
        self._requires: dict[str, tuple[str, ...]] = {}
        self._required_workers: tuple[str, ...] = ()
        self._supervisor: Supervisor | None = None
        self._inspector: Inspector | None = None
        self._is_ready = False
        self._boot_failed = ""

    def run(self) -> int:
        """Boot, serve, stop; return the exit code.

        Raises: Refused before anything runs: the root is in use, a directory cannot be made, a plugin is missing.
        """
        for warning in self._loaded.warnings:
            log.warning("configuration", extra={"warning": warning})
        try:
            for warning in config_paths.create_top_directories(self._paths):
                log.warning("top directories", extra={"warning": warning})
        except OSError as error:
            raise Refused(f"directory '{error.filename}' cannot be made: {error.strerror}") from error
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
        signals = Signals(self._loop, numbers, self._on_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            with self._locked():
                return self._boot_and_serve()
        except Interrupted:
            log.info("boot interrupted")
            self._notifier.stopping()
            return 0
        finally:
            signals.close()
            self._loop.close()

    def _locked(self) -> lock.Lock:
        try:
            return lock.acquire(self._paths.root)
        except lock.LockHeld as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise Refused(f"lock file '{self._paths.lock}' cannot be used: {error.strerror}") from error

    # --- boot -----------------------------------------------------------------------------------------------

    def _boot_and_serve(self) -> int:
        settings = self._settings
        log.info(
            "starting wharfied",
            extra={"version": __version__, "pid": os.getpid(), "root": settings.root, "state": settings.state},
        )
        set_name("wharfied")
        set_child_subreaper()
        limits.apply(settings)
        self._uuid = preparation.server_id(self._paths.uuid)
        self._breathe()
        preparation.unmount_leftovers(
            self._loop, self._paths.temporary_mounts, timeout_s=settings.timeouts["boot.mounts"]
        )
        if not settings.router.address:
            raise Refused("router.address is empty; give the path of a socket")
        gc.disable()
        roster.preload()
        roster.rehearse_shims(settings.state)
        self._breathe()
        try:
            graph = errand.run(
                self._loop, lambda: preparation.plugin_graph(settings), name="plugin graph", timeout_s=PLUGIN_GRAPH_S
            )
        except (WharfieError, TimeoutError) as error:
            raise Refused(f"plugins: {error}") from error
        self._requires = {worker: tuple(needs) for worker, needs in graph["requires"].items()}
        self._required_workers = tuple(graph["required_workers"])
        return self._serve()

    def _breathe(self) -> None:
        """Let signals through between two steps. Raises: Interrupted."""
        self._loop.turn(0.0)

    def _serve(self) -> int:
        settings = self._settings
        supervisor = self._supervisor = Supervisor(
            self._loop,
            roster.tree(settings, self._requires),
            argument=settings,
            crash_reports=settings.supervisor.crash_reports,
        )
        self._inspector = Inspector(supervisor, server=self.describe, reload=self._reload_for_client)
        supervisor.on_give_up = self._dump_state
        supervisor.observers.append(self._on_change)
        self._breathe_out()
        supervisor.command(Verb.START, reason="boot")
        if self._notifier.watchdog_interval_s is not None:
            self._watchdog()
        outcome = supervisor.run()
        supervisor.close()
        code = 1 if outcome.failed or self._boot_failed else 0
        log.info("stopped", extra={"reason": self._boot_failed or outcome.reason, "exit_code": code})
        return code

    @staticmethod
    def _breathe_out() -> None:
        """Before the first fork: what exists now is never looked at by a collector again, here or in a child."""
        command_line_area()
        gc.collect()
        gc.freeze()
        gc.enable()

    def _on_change(self) -> None:
        supervisor = self._supervisor
        assert supervisor is not None
        if self._is_ready or supervisor.state.halt is not None:
            return
        failed = degraded(supervisor.state)
        for name in failed:
            if name in self._required_workers:
                crashes = supervisor.crashes.of(name)
                reason = crashes[-1].stack.strip() if crashes else ""
                self._boot_failed = f"a required plugin of actor '{name}' did not load: {reason}"
                log.critical("boot failed", extra={"reason": self._boot_failed})
                supervisor.command(Verb.SHUTDOWN, reason="boot failed")
                return
        if booted(supervisor.state):
            self._is_ready = True
            status = f"degraded: {', '.join(failed)} failed" if failed else "ready"
            self._notifier.ready(status)
            seconds = round(self._loop.now_s() - self._started_s, 6)
            log.info(f"successfully booted in {seconds:.6f} s", extra={"seconds": seconds, "status": status})

    def _watchdog(self) -> None:
        assert self._supervisor is not None
        assert self._notifier.watchdog_interval_s is not None
        if healthy(self._supervisor.state):
            self._notifier.watchdog()
        self._loop.call_later(self._notifier.watchdog_interval_s, self._watchdog)

    # --- signals --------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        supervisor = self._supervisor
        if number == signal.SIGCHLD:
            if supervisor is not None:
                supervisor.reap()
        elif number in {signal.SIGTERM, signal.SIGINT}:
            name = signal.Signals(number).name
            if supervisor is None:
                raise Interrupted(name)
            log.info("stopping", extra={"signal": name})
            self._notifier.stopping(f"stopping after {name}")
            supervisor.command(Verb.SHUTDOWN, reason=f"daemon stops after {name}")
        elif number == signal.SIGHUP:
            try:
                self.reload()
            except ConfigError as error:
                log.error("configuration not reloaded", extra={"error": str(error)})
        elif number == signal.SIGUSR1 and self._inspector is not None:
            self._inspector.dump(lambda _stacks: None)

    # --- what can be asked ----------------------------------------------------------------------------------

    def describe(self) -> Server:
        """The answer of `introspection.server`."""
        return Server(
            uuid=self._uuid,
            pid=os.getpid(),
            version=__version__,
            root=self._settings.root,
            state=self._settings.state,
            address=self._settings.router.address,
            started_at_ns=self._started_ns,
            uptime_s=round(self._loop.now_s() - self._started_s, 6),
        )

    def reload(self) -> Reloaded:
        """Read the configuration again and take over what may change while the daemon runs.

        Raises: ConfigError when it cannot be used; nothing has changed then.
        """
        supervisor = self._supervisor
        if supervisor is None:
            return Reloaded(applied=[], restart=[])
        if self._is_ready:
            self._notifier.reloading()
        try:
            loaded = self._read()
            changes = compare(self._settings, loaded.settings)
            settings = self._settings = changes.settings
            log_setup.set_level(settings.log.level)
            log_setup.set_format(settings.log.format)
            supervisor.reconfigure(roster.tree(settings, self._requires), settings)
            supervisor.crashes.keep = settings.supervisor.crash_reports
            supervisor.broadcast(ReloadedMessage(config=pack_settings(settings)))
        finally:
            if self._is_ready:
                self._notifier.ready()
        log.info(
            "configuration reloaded",
            extra={"applied": list(changes.applied), "needs_restart": list(changes.restart)},
        )
        return Reloaded(applied=list(changes.applied), restart=list(changes.restart), warnings=list(loaded.warnings))

    def _reload_for_client(self) -> Reloaded:
        try:
            return self.reload()
        except ConfigError as error:
            raise InvalidArgument(
                f"configuration not reloaded: {error}", details={"problems": len(error.problems)}
            ) from error

    def _dump_state(self, reason: str) -> None:
        """Write down what the supervisor knows, before everything is stopped; it never keeps the daemon from ending."""
        supervisor = self._supervisor
        assert supervisor is not None
        document = {
            "at_ns": time.time_ns(),
            "reason": reason,
            "restarts_s_ago": [round(supervisor.state.now_s - s, 6) for s in supervisor.state.restarts_s],
            "actors": view.actors(supervisor),
            "tree": view.tree(supervisor, started_s=self._started_s),
            "crash_reports": supervisor.crashes.all(),
        }
        path = f"{self._paths.state}/{STATE_DUMP}"
        try:
            with open(f"{path}.new", "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(msgspec.json.format(msgspec.json.encode(document)))
            os.rename(f"{path}.new", path)
        except OSError as error:
            log.error("state not dumped", extra={"path": path, "error": str(error)})
            return
        log.critical("state dumped", extra={"path": path, "reason": reason})


def pack_settings(settings: Settings) -> bytes:
    """The settings as the bytes of `Reloaded`: `msgspec.msgpack.decode(config, type=Settings)` reads them."""

    def plain(value: Any) -> Any:
        return dict(value)  # the read-only maps of timeouts and plugins

    return msgspec.msgpack.encode(settings, enc_hook=plain)
