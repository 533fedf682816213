"""The order in which garbage is deleted: nothing before what refers to it. Pure.

So whoever still finds a thing finds all that it refers to, however many transactions the deletion takes: to an observer
it is as if each group had been deleted at once. Only a ring of things that refer to one another must go together; the
strongly connected components of the graph (Tarjan's, SIAM J. Comput. 1972, without recursion) are just these rings, and
come out of it with what is referred to first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


class Ordering:
    """Groups of nodes, found bit by bit.

    Args:
        nodes: what is to be ordered.
        targets: the nodes that a node refers to; others than `nodes` are passed over.
    """

    def __init__(self, nodes: Sequence[int], targets: Callable[[int], Iterator[int]]) -> None:
        self._wanted = frozenset(nodes)
        self._nodes = nodes
        self._targets = targets
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._stack: list[int] = []
        self._on_stack: set[int] = set()
        self._groups: list[list[int]] = []
        self._work = self._search()

    def advance(self) -> bool:
        """Look at one more node or edge. Returns whether there is more to do."""
        return next(self._work, None) is not None

    def groups(self) -> list[list[int]]:
        """The groups in the order of their deletion, once `advance` has nothing more to do."""
        return self._groups[::-1]

    def _search(self) -> Iterator[bool]:
        for root in self._nodes:
            if root in self._index:
                continue
            path = [(root, self._enter(root))]
            while path:
                node, targets = path[-1]
                target = next(targets, None)
                yield True
                if target is None:
                    path.pop()
                    if path:
                        above = path[-1][0]
                        self._low[above] = min(self._low[above], self._low[node])
                    if self._low[node] == self._index[node]:
                        self._close(node)
                elif target not in self._wanted:
                    continue
                elif target not in self._index:
                    path.append((target, self._enter(target)))
                elif target in self._on_stack:
                    self._low[node] = min(self._low[node], self._index[target])

    def _enter(self, node: int) -> Iterator[int]:
        self._index[node] = self._low[node] = len(self._index)
        self._stack.append(node)
        self._on_stack.add(node)
        return self._targets(node)

    def _close(self, node: int) -> None:
        group: list[int] = []
        while not group or group[-1] != node:
            group.append(self._stack.pop())
            self._on_stack.discard(group[-1])
        self._groups.append(group)
