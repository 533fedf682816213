"""In which order plugins start, and which workers have to be there before which. Pure.

A plugin starts after every plugin of every type that it requires. The walk is depth-first in registration order, so
the order is the same in each run and in each process. A type that nobody provides is no error here: whoever needs an
instance of it finds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from actors.plugins.registration import EVERYTHING, Registration
from wharfie.errors import FailedPrecondition

N = TypeVar("N")


def start_order(registrations: Iterable[Registration]) -> list[Registration]:
    """The plugins so that each comes after what it requires; those that require "*" come last.

    Raises:
        FailedPrecondition: requirements go in a circle; `details["cycle"]` names it.
    """
    plugins = {registration.uri: registration for registration in registrations}
    by_type: dict[str, list[str]] = {}
    for uri, plugin in plugins.items():
        by_type.setdefault(plugin.type, []).append(uri)
    requires = {
        uri: [other for kind in plugin.requires for other in by_type.get(kind, ())] for uri, plugin in plugins.items()
    }
    order = _walk(requires, noun="plugins")
    return [plugins[uri] for uri in sorted(order, key=lambda uri: plugins[uri].requires == (EVERYTHING,))]


def worker_requires(registrations: Iterable[Registration]) -> dict[str, tuple[str, ...]]:
    """For each worker the workers that must be ready before it, in start order: what `depends_on` is made from.

    Raises:
        FailedPrecondition: workers would wait for each other; `details["cycle"]` names them.
    """
    plugins = list(registrations)
    requires: dict[str, list[str]] = {plugin.worker: [] for plugin in plugins}
    for plugin in plugins:
        for other in plugins:
            needed = requires[plugin.worker]
            if other.type in plugin.requires and other.worker != plugin.worker and other.worker not in needed:
                needed.append(other.worker)
    order = _walk(requires, noun="workers")
    return {worker: tuple(sorted(requires[worker], key=order.index)) for worker in order}


def _walk(requires: Mapping[str, Iterable[str]], *, noun: str) -> list[str]:
    """Depth-first post-order with a stack of its own: a chain of any length does not reach Python's limit."""
    order: dict[str, None] = {}
    for root in requires:
        path: list[str] = []
        pending = [(root, False)]
        while pending:
            name, is_done = pending.pop()
            if is_done:
                path.pop()
                order[name] = None
            elif name in path:
                cycle = [*path[path.index(name) :], name]
                raise FailedPrecondition(
                    f"{noun} require each other in a circle: {' → '.join(cycle)}; take one requirement out",
                    details={"cycle": cycle},
                )
            elif name not in order:
                path.append(name)
                pending.append((name, True))
                pending += [(other, False) for other in reversed([*requires[name]]) if other not in order]
    return list(order)
