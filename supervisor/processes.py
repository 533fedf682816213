"""The shell around the policy: turns what the kernel and the children tell into events, and actions into system calls.

Nothing here waits and nothing here decides. One loop watches the pidfd, the control channel and the stack pipe of every
child; what it sees goes through `supervisor.decide`, and what comes back is done at once. A death is told to the
router and answered with the next fork before it is written down.
"""

from __future__ import annotations

import logging
import os
import random
import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from actors.control import (
    Beat,
    ControlMessage,
    Down,
    ForkJob,
    ForkShim,
    FromChild,
    InFlight,
    KillJob,
    OrphanExited,
    Ready,
    Stop,
    SupervisorReply,
    SupervisorRequest,
    Up,
)
from linux import unixsocket
from supervisor import child, events
from supervisor.channel import Channel
from supervisor.crash import Crashes
from supervisor.decide import decide
from supervisor.events import Action, AllStopped, Announce, AskStop, DumpStack, Fork, GiveUp, Happening, Report, Signal
from supervisor.incarnation import Departed, Incarnation, reap, was_oom
from supervisor.loop import Loop
from supervisor.memory import KernelLog, make_group
from supervisor.offspring import Offspring, reap_orphans
from supervisor.spec import ChildType, Tree
from supervisor.stack import StackPipe
from supervisor.state import SERVING, State, initial, wake_at_s, with_tree

log = logging.getLogger("supervisor")

Reply = Callable[[SupervisorReply], None]
Inspect = Callable[[SupervisorRequest, Reply], None]


class Supervisor:
    """The children of one tree, alive.

    The process that makes one must have no second thread and must be a child subreaper; it calls `reap` on SIGCHLD.
    `argument` is handed to every actor's target; `inspect` answers the router's requests.
    """

    def __init__(self, loop: Loop, tree: Tree, *, argument: Any, crash_reports: int = 20) -> None:
        self.loop = loop
        self.argument = argument
        self.state: State = initial(tree, loop.now_s())
        self.live: dict[str, Incarnation] = {}
        self.crashes = Crashes(crash_reports)
        self.outcome: AllStopped | None = None
        """Set once everything has been stopped."""
        self.inspect: Inspect | None = None
        self.observers: list[Callable[[], None]] = []
        """Called after every decision that changed the state."""
        self.on_give_up: Callable[[str], None] | None = None
        self._kernel_log = KernelLog()
        self.offspring = Offspring(loop, kernel_log=self._kernel_log, deliver=self._deliver)
        self._events: deque[Happening] = deque()
        self._departed: dict[tuple[str, int], Departed] = {}
        self._deciding = False
        self._shim_owners: set[str] = set()

    # --- driving --------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One turn of the loop, and the tick if one is due."""
        self.loop.turn(wake_at_s(self.state))
        if wake_at_s(self.state) <= self.loop.now_s():
            self.post(events.Tick())

    def run(self) -> AllStopped:
        """Turn until everything has been stopped."""
        while self.outcome is None:
            self.turn()
        return self.outcome

    def post(self, event: Happening) -> None:
        """Decide on an event and do what follows; events that come up meanwhile are decided after it."""
        self._events.append(event)
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._events:
                before = self.state
                event = self._events.popleft()
                self.state, actions = decide(before, event, self.loop.now_s())
                self._perform(actions)
                if isinstance(event, events.Exited):
                    self._departed.pop((event.child, event.generation), None)
                if self.state is not before:
                    for observer in tuple(self.observers):
                        observer()
        finally:
            self._deciding = False

    def command(self, verb: events.Verb, name: str | None = None, *, reason: str) -> None:
        """What an operator asks for."""
        self.post(events.Command(verb=verb, child=name, reason=reason))

    def reconfigure(self, tree: Tree, argument: Any) -> None:
        """Take over other numbers: limits at once, the rest with each child's next incarnation."""
        self.state = with_tree(self.state, tree)
        self.argument = argument

    def close(self) -> None:
        """Close everything; shims go on."""
        self.offspring.kill_jobs()
        self.offspring.close()
        self._kernel_log.close()

    # --- actions --------------------------------------------------------------------------------------------

    def _perform(self, actions: list[Action]) -> None:
        # Writing a report down takes longer than a fork, and somebody waits for the fork.
        for action in sorted(actions, key=lambda action: isinstance(action, Report)):
            match action:
                case Fork():
                    self._fork(action)
                case AskStop():
                    self._ask_stop(action)
                case Signal() | DumpStack():
                    self._signal(action)
                case Announce():
                    self._announce(action)
                case Report():
                    departed = self._departed.pop((action.child, action.generation), Departed())
                    self.crashes.add(action, departed)
                case GiveUp():
                    log.critical("giving up", extra={"reason": action.reason})
                    if self.on_give_up is not None:
                        self.on_give_up(action.reason)
                case AllStopped():
                    self.offspring.kill_jobs()
                    self.outcome = action

    def _fork(self, fork: Fork) -> None:
        spec = self.state.children[fork.child].spec
        name, generation = fork.child, fork.generation
        group = make_group(name, limit_bytes=spec.memory_max_bytes) if spec.memory_max_bytes else None
        stack = None
        try:
            stack = StackPipe(self.loop, partial(self._dumped, name, generation))
            ours, theirs = unixsocket.pair()
            with theirs:
                pid = child.fork(
                    partial(
                        child.run_actor,
                        name=name,
                        generation=generation,
                        target=spec.start,
                        argument=self.argument,
                        channel=theirs,
                        stack_fd=stack.child_fd,
                        parent_pid=os.getpid(),
                        group_procs=group.procs if group is not None else "",
                    ),
                    stack_fd=stack.child_fd,
                )
        except OSError as error:
            if stack is not None:
                stack.close()
            if group is not None:
                group.close()
            reason = f"fork: {error.strerror}"
            self._events.append(
                events.StartFailed(child=name, generation=generation, reason=reason, dice=random.random())  # noqa: S311
            )
            return
        stack.close_child_end()
        channel = Channel(self.loop, ours, name=name, on_message=partial(self._on_message, name, generation))
        incarnation = Incarnation(name=name, generation=generation, pid=pid, channel=channel, stack=stack, group=group)
        self.live[name] = incarnation
        self.loop.watch(incarnation.pidfd, partial(self.collect, pid))
        self._events.append(events.Started(child=name, generation=generation, pid=pid))
        log.debug("actor forked", extra={"actor": name, "generation": generation, "pid": pid})

    def _present(self, name: str, generation: int) -> Incarnation | None:
        incarnation = self.live.get(name)
        return incarnation if incarnation is not None and incarnation.generation == generation else None

    def _ask_stop(self, action: AskStop) -> None:
        incarnation = self._present(action.child, action.generation)
        if incarnation is None:
            return
        log.info("actor is asked to stop", extra={"actor": action.child, "reason": action.reason})
        incarnation.channel.send(Stop(reason=action.reason, deadline_s=action.timeout_s))
        incarnation.signal(signal.SIGTERM)
        incarnation.signal(signal.SIGCONT)

    def _signal(self, action: Signal | DumpStack) -> None:
        incarnation = self._present(action.child, action.generation)
        if incarnation is None:
            return
        number = action.signal if isinstance(action, Signal) else signal.SIGUSR1
        cause = self.state.children[action.child].cause
        log.warning(
            "actor is signalled",
            extra={"actor": action.child, "signal": signal.Signals(number).name, "reason": cause},
        )
        incarnation.signal(number)

    def _announce(self, action: Announce) -> None:
        name, generation = action.child, action.generation
        message: ControlMessage
        if action.up:
            message = Up(name=name, generation=generation, pid=action.pid)
            log.info("actor is ready", extra={"actor": name, "generation": generation, "pid": action.pid})
            self._tell_who_is_up(name)
        else:
            message = Down(name=name, generation=generation, reason=action.reason, blame=action.blame)
        self.broadcast(message, but=name)

    def _tell_who_is_up(self, newcomer: str) -> None:
        for name, known in self.state.children.items():
            if name != newcomer and known.phase in SERVING:
                self.live[newcomer].channel.send(Up(name=name, generation=known.generation, pid=known.pid))

    def broadcast(self, message: ControlMessage, *, but: str = "") -> None:
        """Tell every actor, the router first: it has callers to answer."""
        children = self.state.children
        routers_first = sorted(self.live.values(), key=lambda i: children[i.name].spec.type is not ChildType.ROUTER)
        for incarnation in routers_first:
            if incarnation.name != but:
                incarnation.channel.send(message)

    def _deliver(self, name: str, generation: int | None, message: ControlMessage, fds: tuple[int, ...]) -> None:
        incarnation = self.live.get(name)
        if incarnation is not None and generation in {None, incarnation.generation}:
            incarnation.channel.send(message, fds)
            return
        for fd in fds:
            os.close(fd)

    # --- deaths ---------------------------------------------------------------------------------------------

    def reap(self) -> None:
        """On SIGCHLD: reap whoever came home, and the dead of ours whose pidfd has not been looked at yet."""
        for pid, end in reap_orphans(self._is_ours, self._collect_any):
            log.debug("orphan reaped", extra={"pid": pid, "reason": end.describe()})
            for name in self._shim_owners:
                self._deliver(name, None, OrphanExited(pid=pid, exit_code=end.code, signal=end.signal), ())

    def _is_ours(self, pid: int) -> bool:
        return pid in self.offspring or any(incarnation.pid == pid for incarnation in self.live.values())

    def _collect_any(self, pid: int) -> None:
        if pid in self.offspring:
            self.offspring.collect(pid)
        else:
            self.collect(pid)

    def collect(self, pid: int) -> None:
        """An actor has ended: hear its last words, reap it, and decide."""
        incarnation = next((i for i in self.live.values() if i.pid == pid), None)
        if incarnation is None:
            return
        incarnation.channel.drain()
        result = reap(pid)
        if result is None:
            return
        end, peak_rss_bytes = result
        incarnation.stack.drain()
        name, generation = incarnation.name, incarnation.generation
        if was_oom(end, pid=pid, group=incarnation.group, kernel_log=self._kernel_log):
            end = events.Exit(signal=end.signal, oom=True)
        self.offspring.owner_gone(name, generation)
        self._departed[name, generation] = Departed(
            stack=incarnation.stack.text, rss_bytes=incarnation.rss_bytes, peak_rss_bytes=peak_rss_bytes
        )
        self.loop.unwatch(incarnation.pidfd)
        del self.live[name]
        incarnation.close()
        self.post(events.Exited(child=name, generation=generation, exit=end, dice=random.random()))  # noqa: S311

    # --- what children say ----------------------------------------------------------------------------------

    def _on_message(self, name: str, generation: int, message: FromChild, fds: list[int]) -> None:
        incarnation = self._present(name, generation)
        if incarnation is None or not isinstance(message, ForkJob | ForkShim):
            for fd in fds:
                os.close(fd)
        if incarnation is None:
            return
        match message:
            case Ready():
                incarnation.info = message.info
                self.post(events.Ready(child=name, generation=generation))
            case Beat():
                incarnation.beat(message)
                self.post(events.Beat(child=name, generation=generation))
            case ForkJob() | ForkShim():
                if isinstance(message, ForkShim):
                    self._shim_owners.add(name)
                self.offspring.fork(incarnation, message, fds)
            case KillJob():
                self.offspring.signal(incarnation, message.id, message.signal)
            case InFlight():
                self.crashes.was_working_on(message.name, message.generation, message.methods)
            case SupervisorRequest():
                if self.inspect is not None:
                    self.inspect(message, incarnation.channel.send)

    def _dumped(self, name: str, generation: int, text: str) -> None:
        log.warning("stack dump", extra={"actor": name, "generation": generation, "stack": text})
