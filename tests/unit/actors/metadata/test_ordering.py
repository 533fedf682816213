"""The order of deletion, for any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.metadata.ordering import Ordering

graphs = st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 14), max_size=4), max_size=12)


def order(graph: dict[int, list[int]]) -> list[list[int]]:
    ordering = Ordering(list(graph), lambda node: iter(graph[node]))
    while ordering.advance():
        pass
    return ordering.groups()


def reachable(graph: dict[int, list[int]], start: int) -> set[int]:
    found: set[int] = set()
    waiting = [start]
    while waiting:
        for target in graph.get(waiting.pop(), []):
            if target not in found and target in graph:
                found.add(target)
                waiting.append(target)
    return found


@given(graphs)
def test_nothing_comes_before_what_refers_to_it_and_only_rings_go_together(graph: dict[int, list[int]]) -> None:
    groups = order(graph)
    assert sorted(node for group in groups for node in group) == sorted(graph)
    place = {node: index for index, group in enumerate(groups) for node in group}
    for node, targets in graph.items():
        assert all(place[node] <= place[target] for target in targets if target in graph)
    for group in groups:
        for node in group:
            assert all(node in reachable(graph, other) for other in group if other != node)


def test_a_chain_far_deeper_than_the_stack_is_ordered() -> None:
    graph = {number: [number + 1] for number in range(50_000)}
    assert [group[0] for group in order(graph)] == list(range(50_000))
