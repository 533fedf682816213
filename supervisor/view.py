"""What the supervisor shows of itself: its state and its processes as the public types. Reads, never changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from linux import procfs
from supervisor.state import Child
from wharfie.types.introspection import Plugin
from wharfie.types.supervisor import Actor, ActorState, ActorType, Inspection, Node

if TYPE_CHECKING:
    from supervisor.processes import Supervisor


def actor(supervisor: Supervisor, name: str) -> Actor:
    """One line of the list."""
    child = supervisor.state.children[name]
    incarnation = supervisor.live.get(name)
    if incarnation is None:
        return _line(child, uptime_s=0.0)
    beat = incarnation.last_beat
    return _line(
        child,
        pid=incarnation.pid,
        uptime_s=_uptime_s(supervisor, child.started_s),
        queue=beat.queue,
        in_flight=beat.in_flight,
        handled=beat.handled,
        rss_bytes=incarnation.rss_bytes,
    )


def _line(
    child: Child,
    *,
    uptime_s: float,
    pid: int = 0,
    queue: int = 0,
    in_flight: int = 0,
    handled: int = 0,
    rss_bytes: int = 0,
) -> Actor:
    return Actor(
        name=child.spec.id,
        pid=pid,
        generation=child.generation,
        state=ActorState(child.phase),
        restarts=child.restarts,
        uptime_s=uptime_s,
        queue=queue,
        in_flight=in_flight,
        handled=handled,
        rss_bytes=rss_bytes,
        type=ActorType(child.spec.type),
        last_exit=child.last_exit,
    )


def actors(supervisor: Supervisor) -> list[Actor]:
    """Every actor, in start order."""
    return [actor(supervisor, name) for name in supervisor.state.order]


def tree(supervisor: Supervisor, *, started_s: float) -> Node:
    """The supervisor and everything below it."""
    return Node(
        name="supervisor",
        pid=os.getpid(),
        type=ActorType.SUPERVISOR,
        state="stopping" if supervisor.state.halt is not None else "ready",
        uptime_s=_uptime_s(supervisor, started_s),
        children=[_node(supervisor, name) for name in supervisor.state.order],
    )


def _node(supervisor: Supervisor, name: str) -> Node:
    line = actor(supervisor, name)
    return Node(
        name=name,
        pid=line.pid,
        type=line.type,
        state=line.state,
        generation=line.generation,
        uptime_s=line.uptime_s,
        children=_offspring(supervisor, name),
    )


def _offspring(supervisor: Supervisor, name: str) -> list[Node]:
    return [
        Node(
            name=process.name,
            pid=process.pid,
            type=ActorType.SHIM if process.is_shim else ActorType.JOB,
            state="running",
            uptime_s=_uptime_s(supervisor, process.started_s),
        )
        for process in supervisor.offspring.of(name)
    ]


def inspection(supervisor: Supervisor, name: str) -> Inspection:
    """One actor whole. Reads its memory map, which takes a millisecond or so."""
    child = supervisor.state.children[name]
    spec, incarnation = child.spec, supervisor.live.get(name)
    beat = spec.heartbeat
    return Inspection(
        actor=actor(supervisor, name),
        start=spec.start,
        restart=spec.restart,
        group=spec.group,
        strategy=supervisor.state.tree.strategy(spec.group),
        depends_on=list(spec.depends_on),
        shutdown=spec.shutdown if isinstance(spec.shutdown, str) else f"{spec.shutdown:g}",
        ready_timeout_s=spec.ready_timeout_s,
        heartbeat_interval_s=beat.interval_s if beat is not None else 0.0,
        heartbeat_misses=beat.misses if beat is not None else 0,
        memory_max_bytes=spec.memory_max_bytes,
        pss_bytes=_pss_bytes(incarnation.pid) if incarnation is not None else 0,
        info=incarnation.info if incarnation is not None else {},
        children=_offspring(supervisor, name),
        crash_reports=supervisor.crashes.of(name),
    )


def plugins(supervisor: Supervisor) -> list[Plugin]:
    """The plugins that the actors said they have, in start order. Raises: nothing; what is no plugin is left out."""
    import msgspec

    found: list[Plugin] = []
    for name in supervisor.state.order:
        incarnation = supervisor.live.get(name)
        if incarnation is None:
            continue
        for entry in incarnation.info.get("plugins", ()):
            try:
                found.append(msgspec.convert(entry, Plugin))
            except msgspec.ValidationError:
                continue
    return found


def _uptime_s(supervisor: Supervisor, since_s: float) -> float:
    return round(supervisor.loop.now_s() - since_s, 6)


def _pss_bytes(pid: int) -> int:
    try:
        return procfs.pss_bytes(pid)
    except ProcessLookupError:
        return 0
