"""Steps of a configuration's history against the layers of a manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci.descriptor import Descriptor
from wharfie.oci.history import steps

LAYERS = [Descriptor(media_type="t", digest=f"sha256:{number}", size=number) for number in (1, 2)]
CHAINS = ["chain-1", "chain-2"]


def told(*history: Any) -> bytes:
    return json.dumps({"history": list(history)}).encode()


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        # Each entry its layer, one without files none.
        (
            [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}, {"created_by": "c"}],
            [("a", 1), ("b", 0), ("c", 2)],
        ),
        # Layers that it does not tell of came before.
        ([{"created_by": "c"}], [("", 1), ("c", 2)]),
        ([], [("", 1), ("", 2)]),
        # It tells of more layers than there are.
        ([{}, {}, {"created_by": "c"}], [("", 1), ("", 2), ("c", 0)]),
        ([None, {"created_by": "b", "created": None}], [("", 1), ("b", 2)]),
    ],
)
def test_layers_belong_to_the_steps_that_made_them(history: list[Any], expected: list[tuple[str, int]]) -> None:
    found = steps(told(*history), LAYERS, CHAINS)
    assert [(step.created_by, step.layer.size if step.layer else 0) for step in found] == expected
    assert [step.chain_id for step in found if step.layer] == CHAINS


def test_what_is_told_is_kept() -> None:
    entry = {"created": "2024-01-01T00:00:00Z", "created_by": "RUN x", "author": "me", "comment": "why"}
    (step,) = steps(told(entry), LAYERS[:1], [])
    assert (step.created, step.created_by, step.author, step.comment) == tuple(entry.values())
    assert step.chain_id == ""


@pytest.mark.parametrize("config", [b"", b"[]", b'{"history": 3}', b'{"history": [{"created_by": 3}]}', b"\xff"])
def test_a_malformed_history_is_refused(config: bytes) -> None:
    with pytest.raises(InvalidArgument, match="history of the image configuration is malformed"):
        steps(config, [], [])
