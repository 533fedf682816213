"""Marking: which objects of a namespace something keeps, found in short steps while everybody goes on working.

Three colours, by the strong invariant: an object that was looked through (black) never refers to one that was not
reached (white). Between two steps any change may be committed, and the barrier upholds the invariant:

- a new object, or one that becomes a root, is reached at once (`created`);
- whatever a new reference, lease or image names is reached at once (`named`), be the one that names it black, white or
  new;
- what goes away needs no care: it can only make more garbage, which the next collection finds.

So when nothing reached is left to be looked through, all that any root leads to *at that moment* is black: by induction
along a path, its root was listed or told by the barrier, and each edge was either there when its black end was looked
through or told by the barrier since. Roots are rows as all else is, so none escapes the barrier. What is white then is
garbage, and stays it until the barrier says otherwise; `sweeping` therefore goes on listening.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from actors.metadata.edges import Edges
from actors.metadata.references import Kind, kind_of


class Marking:
    """The marks of one namespace. It is the `Barrier` of the graph while it lives.

    Args:
        edges: the graph.
        on_edge: told of each edge that is followed, for explanations.
    """

    def __init__(self, edges: Edges, *, on_edge: Callable[[int, int], None] | None = None) -> None:
        self._edges = edges
        self._on_edge = on_edge
        self._reached: set[int] = set()
        self._flat: set[int] = set()
        self._grey: list[int] = []
        self._grey_flat: list[int] = []
        self._roots: Iterator[list[int]] | None = edges.roots()
        self._node = 0
        self._pages: Iterator[list[int]] | None = None
        self._pages_are_flat = False
        self.roots: set[int] = set()

    def is_kept(self, node: int) -> bool:
        """Whether a node has been reached."""
        return node in self._reached or node in self._flat

    @property
    def is_done(self) -> bool:
        """Whether all that is kept has been reached, as of now."""
        return not (self._roots or self._pages or self._grey or self._grey_flat)

    # -- the barrier -------------------------------------------------------------------------------------------------

    def created(self, namespace: str, node: int) -> None:
        """There is a new object, or one that is a root now."""
        if namespace == self._edges.namespace:
            # Once more when it was looked through: it may say something else now.
            self._reached.add(node)
            self._grey.append(node)

    def named(self, namespace: str, kind: str, name: str) -> None:
        """Something refers to this now."""
        if namespace == self._edges.namespace:
            for node in self._edges.resolve([(kind, name)]):
                self._reach(node)

    # -- steps -------------------------------------------------------------------------------------------------------

    def step(self, budget_ns: int) -> bool:
        """Mark for about so long. Returns whether it is done; a later change may undo that, so ask again."""
        until_ns = time.monotonic_ns() + budget_ns
        while not self.is_done:
            self._advance()
            if time.monotonic_ns() >= until_ns:
                break
        return self.is_done

    def _advance(self) -> None:
        """One page."""
        if self._pages is not None:
            page = next(self._pages, None)
            if page is None:
                self._pages = None
                return
            for target in page:
                if self._on_edge is not None:
                    self._on_edge(self._node, target)
                self._reach(target, flat=self._pages_are_flat)
        elif self._grey:
            self._open(self._grey.pop(), flat=False)
        elif self._grey_flat:
            self._open(self._grey_flat.pop(), flat=True)
        elif self._roots is not None:
            page = next(self._roots, None)
            if page is None:
                self._roots = None
                return
            self.roots.update(page)
            for node in page:
                self._reach(node)

    def _open(self, node: int, *, flat: bool) -> None:
        self._node = node
        if kind_of(node) is Kind.LEASE and self._edges.is_flat(node):
            # What a flat lease holds is kept without what it refers to by its labels.
            self._pages_are_flat = True
            self._pages = self._edges.of(node)
            return
        self._pages_are_flat = flat
        self._pages = self._edges.of(node, structure_only=flat)

    def _reach(self, node: int, *, flat: bool = False) -> None:
        if node in self._reached:
            return
        if not flat:
            self._reached.add(node)
            self._grey.append(node)
        elif node not in self._flat:
            self._flat.add(node)
            self._grey_flat.append(node)
