"""The daemon's actors as specifications, and the plugin graph they follow."""

from __future__ import annotations

import msgspec
import pytest

from config.settings import Settings
from supervisor.daemon import pack_settings
from supervisor.preparation import plugin_graph
from supervisor.roster import ROUTER, WORKERS, tree
from supervisor.spec import ChildType, SpecError, start_order
from wharfie.errors import FailedPrecondition
from wharfie.methods import WORKERS as ROUTED


def test_the_router_knows_every_worker() -> None:
    assert set(WORKERS) == set(ROUTED)


def test_start_order_follows_the_plugins() -> None:
    requires = plugin_graph(Settings())["requires"]
    children = tree(Settings(), requires).children
    by_id = {child.id: child for child in children}
    assert by_id[ROUTER].depends_on == ()
    assert by_id[ROUTER].type is ChildType.ROUTER
    assert by_id["content"].depends_on == ("metadata",)
    assert set(by_id["transfer"].depends_on) == {"content", "metadata", "snapshot"}
    order = start_order(children)
    assert order.index("metadata") < order.index("content") < order.index("transfer")


def test_numbers_come_from_the_settings() -> None:
    settings = msgspec.convert(
        {
            "supervisor": {
                "heartbeat_interval_s": 2.0,
                "heartbeat_misses": 4,
                "intensity": 7,
                "memory_max_bytes": 1 << 30,
            },
            "timeouts": {**Settings().timeouts, "stop.router": 1.5, "boot.worker": 42.0, "hang.step": 0.25},
        },
        Settings,
    )
    made = tree(settings, {})
    router, worker = made.child("router"), made.child("content")
    assert made.intensity == 7
    assert (router.shutdown, worker.ready_timeout_s) == (1.5, 42.0)
    assert router.permanent_exit_codes == ()
    assert worker.permanent_exit_codes == (78, 125)
    assert worker.memory_max_bytes == 1 << 30
    assert worker.heartbeat is not None
    assert (worker.heartbeat.interval_s, worker.heartbeat.misses, worker.heartbeat.step_s) == (2.0, 4, 0.25)


def test_workers_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(SpecError, match="circle"):
        tree(Settings(), {"content": ("metadata",), "metadata": ("content",)})


def test_a_missing_required_plugin_is_named() -> None:
    settings = msgspec.convert({"required_plugins": ["snapshotter.v1.zfs"]}, Settings)
    with pytest.raises(FailedPrecondition, match=r"snapshotter\.v1\.zfs"):
        plugin_graph(settings)


def test_required_plugins_name_their_worker() -> None:
    settings = msgspec.convert({"required_plugins": ["snapshotter.v1.overlayfs"]}, Settings)
    assert plugin_graph(settings)["required_workers"] == ["snapshot"]


def test_settings_survive_the_control_channel() -> None:
    settings = msgspec.convert({"plugins": {"snapshotter.v1.x": {"a": 1}}, "log": {"level": "debug"}}, Settings)
    assert msgspec.msgpack.decode(pack_settings(settings), type=Settings) == settings
