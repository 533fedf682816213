"""The policy of supervision, pure: `decide(state, event, now) -> (state, actions)`.

No I/O, no clock, no chance: the shell (`supervisor.processes`) observes, calls this, and does what comes back. So the
supervisor is never busy: a start, a stop or a pause is a phase with a deadline and never a wait.

The rules, in the order in which they are read below:

* An event of another generation than the present one is ignored. Time never runs backwards.
* A child that was ready restarts at once; one that was not backs off geometrically.
* More than `intensity` restarts within `period_s` and the supervisor gives up: it stops everything and says so.
* A permanent exit code is final for that child; the others go on.
* A significant child that ends for good ends the whole.
* Stops go against the order of dependencies, starts go with it; independent branches go in parallel.
* A missed series of beats, or a start that takes too long: stack dump, SIGABRT, SIGKILL.
"""

from __future__ import annotations

import math
import signal

from supervisor.events import (
    Action,
    AllStopped,
    Announce,
    AskStop,
    Beat,
    Command,
    DumpStack,
    Exit,
    Exited,
    Fork,
    GiveUp,
    Happening,
    Ready,
    Report,
    Signal,
    Started,
    StartFailed,
    Tick,
    Verb,
)
from supervisor.spec import Restart, Strategy
from supervisor.state import SERVING, Alarm, Child, Goal, Halt, Phase, State
from supervisor.turn import Turn


def decide(state: State, event: Happening, now_s: float) -> tuple[State, list[Action]]:
    """What follows from an event at a moment; the state given is left as it is.

    A `now_s` before the last one counts as the last one.
    """
    turn = _Decision(state, max(now_s, state.now_s))
    match event:
        case Started():
            turn.started(event)
        case StartFailed():
            turn.ended(event.child, event.generation, exit_=None, cause=event.reason, dice=event.dice)
        case Ready():
            turn.ready(event)
        case Beat():
            turn.beat(event)
        case Exited():
            turn.ended(event.child, event.generation, exit_=event.exit, cause="", dice=event.dice)
        case Tick():
            turn.tick()
        case Command():
            turn.command(event)
    turn.advance()
    return turn.finish(), turn.actions


class _Decision(Turn):
    """One decision under way."""

    # --- what incarnations tell -----------------------------------------------------------------------------

    def started(self, event: Started) -> None:
        child = self.present(event.child, event.generation)
        if child is None or child.pid:
            return
        child = self.change(event.child, pid=event.pid)
        if child.phase is Phase.STOPPING:
            self._ask_stop(event.child)

    def ready(self, event: Ready) -> None:
        child = self.present(event.child, event.generation)
        if child is None or child.phase is not Phase.STARTING or child.alarm >= Alarm.ABORTED:
            return
        self.change(
            event.child,
            phase=Phase.READY,
            ready_s=self.now_s,
            alarm=Alarm.NONE,
            cause="",
            deadline_s=self._next_beat(child),
        )
        self.actions.append(
            Announce(child=event.child, generation=event.generation, up=True, pid=child.pid),
        )

    def beat(self, event: Beat) -> None:
        child = self.present(event.child, event.generation)
        if child is None or child.phase not in SERVING or child.alarm >= Alarm.ABORTED:
            return
        self.change(event.child, phase=Phase.READY, alarm=Alarm.NONE, cause="", deadline_s=self._next_beat(child))

    def _next_beat(self, child: Child) -> float:
        beat = child.spec.heartbeat
        return math.inf if beat is None else self.now_s + beat.silence_s

    def ended(self, name: str, generation: int, *, exit_: Exit | None, cause: str, dice: float) -> None:
        """An incarnation is gone; decide what becomes of its child."""
        child = self.present(name, generation)
        if child is None:
            return
        words = cause or (exit_.describe() if exit_ is not None else "")
        reason = f"{child.cause} ({words})" if child.cause and child.phase is not Phase.STOPPING else words
        asked = child.phase is Phase.STOPPING and child.alarm is Alarm.NONE
        if child.phase is Phase.STOPPING:
            reason = child.cause if asked else f"{child.cause}, killed after its time was up"
        planned = child.phase is Phase.STOPPING or child.goal is not Goal.UP
        self.actions.append(
            Announce(
                child=name,
                generation=generation,
                up=False,
                pid=child.pid,
                reason=reason,
                blame=not planned and _own_fault(child, exit_),
            )
        )
        if not (_as_asked(child, exit_) if asked else _done(child, exit_)):
            self.actions.append(
                Report(
                    child=name,
                    generation=generation,
                    pid=child.pid,
                    exit=exit_,
                    cause=reason if not asked else f"{reason} ({words})",
                    uptime_s=self.now_s - child.started_s,
                    was_ready=child.ready_s is not None,
                )
            )
        self.change(name, phase=Phase.ABSENT, pid=0, last_exit=reason, alarm=Alarm.NONE, cause="")
        if planned:
            if child.goal is Goal.CYCLE:
                self.change(name, goal=Goal.UP)
            return
        self._fate(child, exit_, reason=reason, dice=dice)

    # --- the fate of a child that ended by itself -----------------------------------------------------------

    def _fate(self, child: Child, exit_: Exit | None, *, reason: str, dice: float) -> None:
        name, spec = child.spec.id, child.spec
        if exit_ is not None and exit_.code in spec.permanent_exit_codes:
            self.change(name, phase=Phase.FAILED)
            self._ended_for_good(child, reason)
        elif spec.restart is Restart.TEMPORARY or (
            spec.restart is Restart.TRANSIENT and exit_ is not None and exit_.normal
        ):
            self.change(name, goal=Goal.DOWN)
            self._ended_for_good(child, reason)
        else:
            self._restart(child, reason=reason, dice=dice)

    def _ended_for_good(self, child: Child, reason: str) -> None:
        if child.spec.significant:
            self._halt(f"significant child {child.spec.id!r} ended: {reason}", failed=False)

    def _restart(self, child: Child, *, reason: str, dice: float) -> None:
        name, spec = child.spec.id, child.spec
        since = self.now_s - self.tree.period_s
        self.restarts_s = (*(moment for moment in self.restarts_s if moment > since), self.now_s)
        if len(self.restarts_s) > self.tree.intensity:
            text = (
                f"more than {self.tree.intensity} restarts in {self.tree.period_s:g} s, "
                f"the last of child {name!r}: {reason}"
            )
            self.actions.append(GiveUp(reason=text))
            self._halt(text, failed=True)
            return
        strategy = self.tree.strategy(spec.group)
        ordered = strategy is not Strategy.ONE_FOR_ONE
        restarts = child.restarts + 1
        if child.ready_s is None:
            failures = child.failures + 1
            self.change(
                name,
                phase=Phase.BACKOFF,
                deadline_s=self.now_s + spec.backoff.pause_s(failures, dice),
                failures=failures,
                restarts=restarts,
                ordered=ordered,
            )
        else:
            quiet = self.now_s - child.ready_s >= spec.backoff.reset_after_s
            self.change(name, failures=0 if quiet else child.failures, restarts=restarts, ordered=ordered)
        if strategy is not Strategy.ONE_FOR_ONE:
            self._take_down_siblings(name, strategy)

    def _take_down_siblings(self, name: str, strategy: Strategy) -> None:
        for sibling in self.siblings(name, later=strategy is Strategy.REST_FOR_ONE):
            other = self.children[sibling]
            if other.live and other.goal is Goal.UP:
                temporary = other.spec.restart is Restart.TEMPORARY
                self.change(
                    sibling,
                    goal=Goal.DOWN if temporary else Goal.CYCLE,
                    ordered=True,
                    cause=f"{strategy} restart of {name!r}",
                )

    def _halt(self, reason: str, *, failed: bool) -> None:
        if self.halt is None or (failed and not self.halt.failed):
            self.halt = Halt(reason=reason, failed=failed)
        for name in self.children:
            self._want_down(name, reason)

    # --- time -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        for name in self.state.order:
            child = self.children[name]
            if child.deadline_s <= self.now_s:
                self._expired(name, child)

    def _expired(self, name: str, child: Child) -> None:
        match child.phase:
            case Phase.BACKOFF:
                self.change(name, phase=Phase.ABSENT)
            case Phase.STOPPING:
                self._signal(name, signal.SIGKILL, Alarm.KILLED)
            case Phase.STARTING:
                self._climb(name, child, cause=f"not ready within {child.spec.ready_timeout_s:g} s")
            case Phase.READY | Phase.DEGRADED:
                silence = child.spec.heartbeat.silence_s if child.spec.heartbeat else 0.0
                self._climb(name, child, cause=child.cause or f"no beat for {silence:g} s")

    def _climb(self, name: str, child: Child, *, cause: str) -> None:
        """One rung further: stack dump, SIGABRT, SIGKILL."""
        if child.alarm is Alarm.NONE:
            phase = Phase.DEGRADED if child.phase is Phase.READY else child.phase
            self.change(name, phase=phase, cause=cause)
            self.actions.append(DumpStack(child=name, generation=child.generation))
            self._raise_alarm(name, Alarm.DUMPED)
        elif child.alarm is Alarm.DUMPED:
            self._signal(name, signal.SIGABRT, Alarm.ABORTED)
        else:
            self._signal(name, signal.SIGKILL, Alarm.KILLED)

    def _signal(self, name: str, number: signal.Signals, alarm: Alarm) -> None:
        child = self.children[name]
        self.actions.append(Signal(child=name, generation=child.generation, signal=int(number)))
        self._raise_alarm(name, alarm)

    def _raise_alarm(self, name: str, alarm: Alarm) -> None:
        """Set the alarm; the next rung comes after a short step, and nothing comes after SIGKILL."""
        beat = self.children[name].spec.heartbeat
        step_s = beat.step_s if beat is not None else 0.5
        deadline_s = math.inf if alarm is Alarm.KILLED else self.now_s + step_s
        self.change(name, alarm=alarm, alarm_s=self.now_s, deadline_s=deadline_s)

    # --- operators ------------------------------------------------------------------------------------------

    def command(self, event: Command) -> None:
        if event.verb is Verb.SHUTDOWN:
            self._halt(event.reason, failed=False)
            return
        for name in self.state.order if event.child is None else (event.child,):
            if name not in self.children:
                continue
            if event.verb is Verb.RESTART and event.child is None and self.children[name].goal is Goal.DOWN:
                continue
            if event.verb is Verb.STOP:
                self._want_down(name, event.reason)
            elif self.halt is None:
                if event.verb is Verb.START or not self.children[name].live:
                    self._want_up(name)
                else:
                    everyone = event.child is None
                    self.change(name, goal=Goal.CYCLE, ordered=everyone, **self._because(name, event.reason))

    def _want_down(self, name: str, reason: str) -> None:
        self.change(name, goal=Goal.DOWN, **self._because(name, reason))

    def _want_up(self, name: str) -> None:
        child = self.children[name]
        if child.phase is Phase.STOPPING:
            self.change(name, goal=Goal.CYCLE)
        elif child.live:
            if child.goal is Goal.DOWN:
                self.change(name, goal=Goal.UP, cause="")
        else:
            self.change(name, goal=Goal.UP, phase=Phase.ABSENT, ordered=True, failures=0)

    def _because(self, name: str, reason: str) -> dict[str, str]:
        """The cause to note: none when there is one already that the incarnation is being ended for."""
        child = self.children[name]
        return {} if child.phase is Phase.STOPPING or not child.live else {"cause": reason}

    # --- stops and starts that have become possible ---------------------------------------------------------

    def advance(self) -> None:
        for name in reversed(self.state.order):
            child = self.children[name]
            if child.goal is Goal.UP or child.phase is Phase.STOPPING:
                continue
            if child.live:
                if not self.stop_waits(name):
                    self._begin_stop(name)
            elif child.phase is not Phase.ABSENT or child.goal is Goal.CYCLE:
                goal = Goal.UP if child.goal is Goal.CYCLE else Goal.DOWN
                self.change(name, phase=Phase.ABSENT, goal=goal)
        for name in self.state.order:
            child = self.children[name]
            if child.phase is Phase.ABSENT and child.goal is Goal.UP and not self.start_waits(name):
                self._fork(name)
        if self.halt is not None and not self.stopped and not any(c.live for c in self.children.values()):
            self.stopped = True
            self.actions.append(AllStopped(reason=self.halt.reason, failed=self.halt.failed))

    def _begin_stop(self, name: str) -> None:
        child = self.change(name, phase=Phase.STOPPING, alarm=Alarm.NONE)
        if child.pid:
            self._ask_stop(name)

    def _ask_stop(self, name: str) -> None:
        child = self.children[name]
        shutdown = child.spec.shutdown
        if shutdown == "kill":
            self._signal(name, signal.SIGKILL, Alarm.NONE)
            self.change(name, deadline_s=math.inf)
            return
        timeout_s = 0.0 if shutdown == "infinity" else float(shutdown)
        self.change(name, deadline_s=self.now_s + timeout_s if timeout_s else math.inf)
        self.actions.append(AskStop(child=name, generation=child.generation, reason=child.cause, timeout_s=timeout_s))

    def _fork(self, name: str) -> None:
        generation = self.children[name].generation + 1
        spec = self.tree.child(name)  # that of now: a reload takes effect with the next incarnation
        self.change(
            name,
            spec=spec,
            phase=Phase.STARTING,
            generation=generation,
            started_s=self.now_s,
            ready_s=None,
            deadline_s=self.now_s + spec.ready_timeout_s,
            ordered=False,
        )
        self.actions.append(Fork(child=name, generation=generation))


def _as_asked(child: Child, exit_: Exit | None) -> bool:
    """A child that was asked to stop ended in the way it was asked to: nothing to report."""
    if exit_ is None or exit_.normal or exit_.signal == signal.SIGTERM:
        return True
    return child.spec.shutdown == "kill" and exit_.signal == signal.SIGKILL


def _done(child: Child, exit_: Exit | None) -> bool:
    """A child that need not run for ever ended with exit code 0, and nobody was ending it."""
    done = exit_ is not None and exit_.normal and child.alarm is Alarm.NONE
    return done and child.spec.restart is not Restart.PERMANENT


def _own_fault(child: Child, exit_: Exit | None) -> bool:
    """It crashed, hung or ran out of memory; a plain SIGKILL came from somebody else."""
    return child.alarm is not Alarm.NONE or exit_ is None or exit_.signal != signal.SIGKILL or exit_.oom
