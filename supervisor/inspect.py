"""The supervisor's own methods: from a request's bytes to a reply's bytes or a typed error, whatever carries them.

Reads are answered at once, in well under a millisecond, whatever the children are doing: the loop is never busy.
`start`, `stop` and `restart` are answered when what was asked for has come true, or cannot any more; until then they
are an entry in a list that is looked at after each decision.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from actors.control import DumpStack, SetLogLevel, SupervisorReply, SupervisorRequest, set_log_level
from config.log import LEVELS
from supervisor import view
from supervisor.events import Verb
from supervisor.processes import Reply, Supervisor
from supervisor.spec import ChildType
from supervisor.state import SERVING, Phase
from wharfie import protocol
from wharfie.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Unimplemented,
    WharfieError,
)
from wharfie.types import supervisor as t
from wharfie.types.base import Empty
from wharfie.types.introspection import GetServer, ListPlugins, Plugins, Server

log = logging.getLogger("supervisor")

DUMP_WAIT_S = 0.25
"""How long a dump waits for the stacks; a stopped process answers never."""

WAIT_MAX_S = 60.0
"""How long a command may wait for what it asked for; callers have deadlines of their own, and mostly shorter ones."""

KEYS_MAX = 256
"""Answers kept for requests that come again."""

Answer = Callable[[Any], None]
"""Takes the body of a reply, or a `WharfieError`."""


class _Keyed:
    """The answer of a request with a key, and who wants it."""

    def __init__(self) -> None:
        self._reply: SupervisorReply | None = None
        self._wanted: list[tuple[int, Reply]] = []

    def answered(self, reply: SupervisorReply) -> None:
        self._reply = reply
        wanted, self._wanted = self._wanted, []
        for id_, send in wanted:
            self.wanted(id_, send)

    def wanted(self, id_: int, send: Reply) -> None:
        if self._reply is None:
            self._wanted.append((id_, send))
        else:
            send(msgspec.structs.replace(self._reply, id=id_))


class Inspector:
    """Answers `supervisor.*` and `introspection.*` for one supervisor.

    `server` describes the daemon; `reload` reads the configuration again and raises a `WharfieError` when it cannot be
    used.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        server: Callable[[], Server],
        reload: Callable[[], t.Reloaded],
    ) -> None:
        self._supervisor = supervisor
        self._started_s = supervisor.loop.now_s()
        self._server = server
        self._reload = reload
        self._waiting: list[Callable[[], bool]] = []
        self._by_key: OrderedDict[str, _Keyed] = OrderedDict()
        self._methods: dict[str, tuple[type[Any], Callable[[Any, Answer], None]]] = {
            "supervisor.tree": (t.Tree, self._tree),
            "supervisor.list": (t.List, self._list),
            "supervisor.get": (t.Get, self._get),
            "supervisor.crash_reports": (t.GetCrashReports, self._crash_reports),
            "supervisor.start": (t.Start, self._start),
            "supervisor.stop": (t.Stop, self._stop),
            "supervisor.restart": (t.Restart, self._restart),
            "supervisor.log_level": (t.SetLogLevel, self._log_level),
            "supervisor.dump": (t.Dump, self._dump),
            "supervisor.reload": (t.Reload, self._reload_config),
            "introspection.plugins": (ListPlugins, self._plugins),
            "introspection.server": (GetServer, self._describe),
        }
        supervisor.inspect = self.handle
        supervisor.observers.append(self._look)

    @property
    def methods(self) -> frozenset[str]:
        """The methods that are answered here."""
        return frozenset(self._methods)

    def handle(self, request: SupervisorRequest, reply: Reply) -> None:
        """Answer a request, now or later; `reply` is called exactly once.

        A request with a key that was seen before does nothing: it gets the first one's answer, or waits for it. A
        router that is restarted dies with answers in its hands, and the client asks its next incarnation again.
        """
        if not request.key:
            self._handle(request, reply)
            return
        known = self._by_key.get(request.key)
        if known is not None:
            known.wanted(request.id, reply)
            return
        known = self._by_key[request.key] = _Keyed()
        known.wanted(request.id, reply)  # before it is handled: the router has to get its answer before its Stop
        while len(self._by_key) > KEYS_MAX:
            self._by_key.popitem(last=False)
        self._handle(request, known.answered)

    def _handle(self, request: SupervisorRequest, reply: Reply) -> None:
        def answer(body: Any) -> None:
            if isinstance(body, WharfieError):
                reply(SupervisorReply(id=request.id, error=body.to_wire()))
            else:
                reply(SupervisorReply(id=request.id, body=protocol.encode(body)))

        try:
            found = self._methods.get(request.method)
            if found is None:
                raise Unimplemented(f"method '{request.method}' is not one of the supervisor's")
            kind, method = found
            method(protocol.decode_body(request.body, kind, method=request.method), answer)
        except WharfieError as error:
            answer(error)
        except Exception as error:  # a bug in an answer must not cost the tree
            log.exception("request to the supervisor failed", extra={"method": request.method})
            answer(Internal(f"'{request.method}' failed: {error}"))

    # --- reads ----------------------------------------------------------------------------------------------

    def _tree(self, _request: t.Tree, answer: Answer) -> None:
        answer(view.tree(self._supervisor, started_s=self._started_s))

    def _list(self, _request: t.List, answer: Answer) -> None:
        answer(t.Actors(actors=view.actors(self._supervisor)))

    def _get(self, request: t.Get, answer: Answer) -> None:
        answer(view.inspection(self._supervisor, self._known(request.name)))

    def _crash_reports(self, request: t.GetCrashReports, answer: Answer) -> None:
        crashes = self._supervisor.crashes
        reports = crashes.of(self._known(request.name)) if request.name else crashes.all()
        answer(t.CrashReports(reports=reports))

    def _plugins(self, request: ListPlugins, answer: Answer) -> None:
        plugins = view.plugins(self._supervisor)
        if request.filters:
            from wharfie.filters import Filters  # parsing filters is rare here

            wanted = Filters(request.filters)
            plugins = [p for p in plugins if wanted.matches(lambda path, p=p: _plugin_field(p, path))]  # type: ignore[misc]
        answer(Plugins(plugins=plugins))

    def _describe(self, _request: GetServer, answer: Answer) -> None:
        answer(self._server())

    def _known(self, name: str) -> str:
        names = self._supervisor.state.order
        if name not in names:
            raise NotFound(f"actor '{name}' not found; there are {', '.join(names)}", details={"name": name})
        return name

    # --- commands -------------------------------------------------------------------------------------------

    def _start(self, request: t.Start, answer: Answer) -> None:
        name = self._known(request.name)
        self._refuse_while_stopping()
        self._supervisor.command(Verb.START, name, reason="start requested")
        self._answer_when_up(name, answer, after=0)

    def _stop(self, request: t.Stop, answer: Answer) -> None:
        name = self._known(request.name)
        if self._is_router(name):
            raise FailedPrecondition("actor 'router' cannot be stopped, since nobody could start it; restart it")
        self._supervisor.command(Verb.STOP, name, reason="stop requested")
        self._when(lambda: not self._supervisor.state.children[name].live, name, answer)

    def _restart(self, request: t.Restart, answer: Answer) -> None:
        name = self._known(request.name)
        self._refuse_while_stopping()
        generation = self._supervisor.state.children[name].generation
        if self._is_router(name):
            # The answer travels through the very process that goes: a caller that got none would ask again.
            answer(view.actor(self._supervisor, name))
        self._supervisor.command(Verb.RESTART, name, reason="restart requested")
        if not self._is_router(name):
            self._answer_when_up(name, answer, after=generation)

    def _is_router(self, name: str) -> bool:
        return self._supervisor.state.children[name].spec.type is ChildType.ROUTER

    def _refuse_while_stopping(self) -> None:
        if self._supervisor.state.halt is not None:
            raise FailedPrecondition("the daemon is stopping; nothing is started any more")

    def _answer_when_up(self, name: str, answer: Answer, *, after: int) -> None:
        def settled() -> bool:
            child = self._supervisor.state.children[name]
            over = child.phase is Phase.FAILED or self._supervisor.state.halt is not None
            return over or (child.phase in SERVING and child.generation > after)

        self._when(settled, name, answer)

    def _when(self, settled: Callable[[], bool], name: str, answer: Answer) -> None:
        def look() -> bool:
            if not settled():
                return False
            timer.cancel()
            answer(view.actor(self._supervisor, name))
            return True

        def expire() -> None:
            self._waiting.remove(look)
            state = self._supervisor.state.children[name].phase
            answer(DeadlineExceeded(f"actor '{name}' is still {state} after {WAIT_MAX_S:g} s", maybe_done=True))

        timer = self._supervisor.loop.call_later(WAIT_MAX_S, expire)
        if not look():
            self._waiting.append(look)

    def _look(self) -> None:
        if self._waiting:
            self._waiting = [look for look in self._waiting if not look()]

    def _log_level(self, request: t.SetLogLevel, answer: Answer) -> None:
        if request.level not in LEVELS:
            raise InvalidArgument(
                f"log level '{request.level}' is none of {', '.join(LEVELS)}", details={"field": "level"}
            )
        supervisor, message = self._supervisor, SetLogLevel(level=request.level)
        if request.name in {"", "all"}:
            set_log_level(request.level)
            supervisor.broadcast(message)
        elif request.name == "supervisor":
            set_log_level(request.level)
        else:
            incarnation = supervisor.live.get(self._known(request.name))
            if incarnation is None:
                raise FailedPrecondition(f"actor '{request.name}' does not run; start it first")
            incarnation.channel.send(message)
        answer(Empty())

    def _reload_config(self, _request: t.Reload, answer: Answer) -> None:
        answer(self._reload())

    # --- stacks ---------------------------------------------------------------------------------------------

    def _dump(self, _request: t.Dump, answer: Answer) -> None:
        self.dump(lambda stacks: answer(t.Stacks(stacks=stacks)))

    def dump(self, done: Callable[[dict[str, str]], None]) -> None:
        """Have every process write its stack, into the log too; `done` gets all of them after a moment."""
        supervisor = self._supervisor
        stacks = {"supervisor": own_stack()}
        log.warning("stack dump", extra={"actor": "supervisor", "stack": stacks["supervisor"]})
        before = {}
        for name, incarnation in supervisor.live.items():
            incarnation.stack.drain()
            before[name] = (incarnation, incarnation.stack.received)
            incarnation.signal(signal.SIGUSR1)
            incarnation.channel.send(DumpStack())
        for job in supervisor.offspring.jobs():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(job.pidfd, signal.SIGUSR1)

        def gather() -> None:
            for name, (incarnation, received) in before.items():
                incarnation.stack.drain()
                stacks[name] = incarnation.stack.since(received)
            done(stacks)

        supervisor.loop.call_later(DUMP_WAIT_S, gather)


def own_stack() -> str:
    """What this process does."""
    fd = os.memfd_create("stack", os.MFD_CLOEXEC)
    try:
        faulthandler.dump_traceback(file=fd)
        return os.pread(fd, 65536, 0).decode(errors="replace")
    finally:
        os.close(fd)


def _plugin_field(plugin: Any, path: tuple[str, ...]) -> str | None:
    found = getattr(plugin, path[0], None) if len(path) == 1 else None
    return found if isinstance(found, str) else None
