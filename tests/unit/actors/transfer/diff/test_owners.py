"""Owners of mapped snapshots, as the image has them."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from actors.transfer.diff import owners
from actors.transfer.diff.compare import Comparison
from actors.transfer.diff.layerwriter import LayerWriter
from actors.transfer.diff.sink import Compression, Sink
from actors.transfer.diff.treeside import TreeSide
from tests.support import trees
from wharfie.errors import FailedPrecondition, InvalidArgument


def test_ids_outside_become_those_inside() -> None:
    owner = owners.inside("0:100000:10,50:7:1", "0:0:65536")
    assert owner(100000, 5) == (0, 5)
    assert owner(100009, 0) == (9, 0)
    assert owner(7, 0) == (50, 0)
    assert owners.inside("", "")(3, 4) == (3, 4)


def test_an_id_that_nobody_has_inside_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="user 0, whom"):
        owners.inside("0:100000:10", "0:100000:10")(0, 100000)


@pytest.mark.parametrize("text", ["x", "1:2", "1:2:3:4", "-1:2:3", "1:2:3,", "0:1:0", "0:9:5,2:90:1"])
def test_a_mapping_that_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="mapping of owners"):
        owners.inside(text, "")


def test_a_layer_has_the_owners_inside(upper: str) -> None:
    trees.grow(upper, {"f": b"x"})
    os.chown(f"{upper}/f", 100005, 100006)
    side = TreeSide(os.open(upper, os.O_RDONLY))
    with open(os.memfd_create("layer"), "r+b") as file:
        with Sink(file.fileno(), Compression.NONE) as sink:
            owner = owners.inside("0:100000:65536", "0:100000:65536")
            LayerWriter(side, sink, latest_ns=None, owner=owner).write(Comparison(None, side).changes())
            sink.finish()
        os.close(side.root_fd)
        file.seek(0)
        with tarfile.open(fileobj=io.BytesIO(file.read())) as tar:
            (info,) = tar.getmembers()
    assert (info.uid, info.gid) == (5, 6)
