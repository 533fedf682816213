"""Snapshotters as plugins: one that is disabled or does not work is told by name and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.storage import storage
from wharfie import InvalidArgument
from wharfie.types.introspection import PluginStatus

MINE = '''
"""A snapshotter of somebody else: native under another name."""

from actors.plugins.registration import Registration
from actors.snapshot.native import Native


class Mine(Native):
    name = "mine"


def make(context):
    context.exports["root"] = context.properties.root
    return Mine(context.properties.root)


def register(registry):
    kind = "snapshotter.v1"
    registry.register(Registration(type=kind, id="mine", worker="snapshot", requires=("metadata.v1",), init=make))
'''


def test_a_disabled_snapshotter_is_refused_with_the_reason_and_another_one_is_the_default() -> None:
    overrides = {"disabled_plugins": ["snapshotter.v1.native"]}
    with storage(overrides) as daemon, daemon.connect() as client:
        with pytest.raises(InvalidArgument, match="disabled by the configuration"):
            client.snapshots.prepare("key", snapshotter="native")
        client.snapshots.prepare("key")
        assert client.snapshots.stat("key").snapshotter == "overlayfs"
        plugins = {plugin.id: plugin for plugin in client.plugins.list()}
        assert plugins["native"].status is PluginStatus.SKIP
        assert plugins["overlayfs"].status is PluginStatus.OK
        assert plugins["overlayfs"].capabilities == ["rebase"]
        assert plugins["overlayfs"].exports == {"root": f"{daemon.root}/snapshots/overlayfs"}


def test_a_snapshotter_of_the_plugin_directory_serves(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    with storage({"plugin_dir": str(tmp_path)}) as daemon, daemon.connect() as client:
        [mount] = client.snapshots.prepare("key", snapshotter="mine")
        Path(mount.source, "file").write_text("text")
        client.snapshots.commit("base", "key", snapshotter="mine")
        [copy] = client.snapshots.prepare("top", "base", snapshotter="mine")
        assert Path(copy.source, "file").read_text() == "text"
        assert client.snapshots.list() == []
