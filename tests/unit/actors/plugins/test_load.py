"""Initialising plugins: ok, skip, error, required and disabled ones, and what an init function sees."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.plugins.context import InitContext, SkipPlugin
from actors.plugins.load import DISABLED, Init, Loaded, load
from actors.plugins.registration import Registration
from actors.plugins.registry import Registry
from config.settings import Settings
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.types.introspection import PluginStatus

OK, SKIP, ERROR = PluginStatus.OK, PluginStatus.SKIP, PluginStatus.ERROR


def plugin(uri: str, *requires: str, init: Any = None, worker: str = "w", **fields: Any) -> Registration:
    kind, _, plugin_id = uri.rpartition(".")
    return Registration(type=kind, id=plugin_id, worker=worker, requires=requires, init=init, **fields)


def run(*registrations: Registration, inits: dict[str, Init] | None = None, **settings: Any) -> Loaded:
    chosen = msgspec.structs.replace(Settings(), **settings)
    return load(Registry(registrations), worker="w", settings=chosen, inits=inits)


def status(loaded: Loaded) -> dict[str, PluginStatus]:
    return {f"{record.type}.{record.id}": record.status for record in loaded.plugins}


def reason(loaded: Loaded, uri: str) -> str:
    return next(record.reason for record in loaded.plugins if f"{record.type}.{record.id}" == uri)


def fail(_context: InitContext) -> object:
    raise OSError("no such device")


def skip(_context: InitContext) -> object:
    raise SkipPlugin("kernel has no overlay")


def dotted(context: InitContext) -> str:
    return f"made {context.plugin.id}"


def test_instances_are_made_in_order_and_seen_by_what_requires_them() -> None:
    made: list[str] = []

    def init(context: InitContext) -> str:
        made.append(context.plugin.id)
        return f"instance of {context.plugin.id}"

    def last(context: InitContext) -> str:
        return f"on {context.get_single('a.v1')}"

    loaded = run(plugin("b.v1.two", "a.v1", init=last), plugin("a.v1.one", init=init))
    assert made == ["one"]
    assert loaded.instances["b.v1", "two"] == "on instance of one"
    assert [record.id for record in loaded.plugins] == ["one", "two"]
    assert loaded.plugins[1].requires == ["a.v1"]


def test_init_is_a_function_a_dotted_name_or_brought_by_the_worker() -> None:
    loaded = run(
        plugin("a.v1.dotted", init=f"{__name__}:dotted"),
        plugin("a.v1.brought"),
        plugin("a.v1.nothing"),
        inits={"a.v1.brought": lambda _context: 5},
    )
    assert loaded.instances == {("a.v1", "dotted"): "made dotted", ("a.v1", "brought"): 5}
    assert set(status(loaded).values()) == {OK}


def test_a_dotted_name_that_leads_nowhere_is_an_error_of_that_plugin() -> None:
    loaded = run(plugin("a.v1.x", init="no_such_module_of_ours:init"), plugin("b.v1.y"))
    assert status(loaded) == {"a.v1.x": ERROR, "b.v1.y": OK}
    assert "no_such_module_of_ours" in reason(loaded, "a.v1.x")


def test_a_plugin_that_nothing_requires_may_fail() -> None:
    loaded = run(plugin("a.v1.bad", init=fail), plugin("b.v1.good"))
    assert status(loaded) == {"a.v1.bad": ERROR, "b.v1.good": OK}
    assert reason(loaded, "a.v1.bad") == "no such device"
    assert isinstance(loaded.failures["a.v1.bad"], OSError)


def test_what_requires_a_failed_one_is_skipped_with_the_reason_and_so_on_up() -> None:
    loaded = run(plugin("c.v1.top", "b.v1"), plugin("b.v1.middle", "a.v1"), plugin("a.v1.bad", init=fail))
    assert status(loaded) == {"a.v1.bad": ERROR, "b.v1.middle": SKIP, "c.v1.top": SKIP}
    assert "requires a.v1" in reason(loaded, "b.v1.middle")
    assert "no such device" in reason(loaded, "b.v1.middle")


def test_one_of_several_of_a_type_is_enough() -> None:
    loaded = run(plugin("a.v1.bad", init=skip), plugin("a.v1.good"), plugin("b.v1.user", "a.v1"))
    assert status(loaded) == {"a.v1.bad": SKIP, "a.v1.good": OK, "b.v1.user": OK}
    assert reason(loaded, "a.v1.bad") == "kernel has no overlay"
    assert loaded.failures == {}


def test_star_starts_whatever_failed() -> None:
    loaded = run(plugin("z.v1.last", "*"), plugin("a.v1.bad", init=fail))
    assert status(loaded) == {"a.v1.bad": ERROR, "z.v1.last": OK}
    assert [record.id for record in loaded.plugins] == ["bad", "last"]


def test_a_type_that_nobody_provides_is_found_missing_by_the_init_function() -> None:
    loaded = run(plugin("a.v1.x", "nothing.v1", init=lambda context: context.get_single("nothing.v1")))
    assert status(loaded) == {"a.v1.x": ERROR}
    assert reason(loaded, "a.v1.x") == "no plugin of type 'nothing.v1' is loaded"


@pytest.mark.parametrize("uri", ["a.v1.x", "io.containerd.a.v1.x", "wharfie.a.x"])
def test_a_disabled_plugin_is_not_started_and_still_shown(uri: str) -> None:
    loaded = run(plugin("a.v1.x", init=fail), plugin("b.v1.user", "a.v1"), disabled_plugins=(uri,))
    assert status(loaded) == {"a.v1.x": SKIP, "b.v1.user": SKIP}
    assert reason(loaded, "a.v1.x") == DISABLED
    assert DISABLED in reason(loaded, "b.v1.user")


@pytest.mark.parametrize("init", [fail, skip])
def test_a_required_plugin_that_does_not_load_stops_the_start(init: Init) -> None:
    with pytest.raises(FailedPrecondition, match=r"required plugin 'a\.v1\.x' did not load: .+") as caught:
        run(plugin("a.v1.x", init=init), required_plugins=("io.containerd.a.v1.x",))
    assert caught.value.details["uri"] == "a.v1.x"


def test_a_required_plugin_that_is_skipped_for_another_stops_the_start() -> None:
    with pytest.raises(FailedPrecondition, match="no such device"):
        run(plugin("a.v1.x", init=fail), plugin("b.v1.y", "a.v1"), required_plugins=("b.v1.y",))


def test_a_required_plugin_that_is_not_included_stops_the_start() -> None:
    with pytest.raises(FailedPrecondition, match="not included") as caught:
        run(plugin("a.v1.x"), required_plugins=("a.v1.x", "b.v1.y"))
    assert caught.value.details["missing"] == ["b.v1.y"]


def test_a_required_plugin_of_another_worker_is_that_workers_matter() -> None:
    loaded = run(plugin("a.v1.x", worker="other", init=fail), required_plugins=("a.v1.x",))
    assert loaded.plugins == []


def test_a_circle_stops_the_start() -> None:
    with pytest.raises(FailedPrecondition, match="circle"):
        run(plugin("a.v1.x", "b.v1"), plugin("b.v1.y", "a.v1"))


def test_only_plugins_of_this_worker_are_started_and_shown() -> None:
    started: list[str] = []
    loaded = run(
        plugin("a.v1.here", init=lambda context: started.append(context.plugin.id)),
        plugin("b.v1.there", worker="other", init=lambda context: started.append(context.plugin.id)),
    )
    assert started == ["here"]
    assert status(loaded) == {"a.v1.here": OK}


def test_an_instance_of_another_worker_cannot_be_had_and_it_says_where_it_is() -> None:
    def init(context: InitContext) -> None:
        context.get_single("a.v1")

    loaded = run(plugin("a.v1.x", worker="other"), plugin("b.v1.y", "a.v1", init=init))
    assert reason(loaded, "b.v1.y").startswith("plugin 'a.v1.x' runs in worker 'other'")


def test_what_an_init_function_sees() -> None:
    seen: dict[str, Any] = {}

    def init(context: InitContext) -> None:
        seen["properties"] = context.properties
        seen["by id"] = context.get_by_id("a.v1", "one")
        seen["by type"] = context.get_by_type("a.v1")
        seen["all"] = [(record.id, record.status) for record in context.get_all()]
        with pytest.raises(FailedPrecondition, match="several"):
            context.get_single("a.v1")
        with pytest.raises(NotFound, match="kernel has no overlay"):
            context.get_by_id("a.v1", "three")
        with pytest.raises(NotFound):
            context.get_by_id("a.v1", "four")
        context.exports["root"] = "/somewhere"
        context.capabilities.append("rebase")

    loaded = run(
        plugin("a.v1.one", init=lambda _context: 1),
        plugin("a.v1.two", init=lambda _context: 2),
        plugin("a.v1.three", init=skip),
        plugin("b.v1.user", "a.v1", init=init),
        root="/r",
        state="/s",
    )
    assert status(loaded)["b.v1.user"] is OK, reason(loaded, "b.v1.user")
    assert (seen["by id"], seen["by type"]) == (1, {"one": 1, "two": 2})
    assert seen["all"] == [("one", OK), ("two", OK), ("three", SKIP)]
    assert (seen["properties"].root, seen["properties"].state) == ("/r/plugins/b.v1.user", "/s/plugins/b.v1.user")
    assert (loaded.plugins[-1].exports, loaded.plugins[-1].capabilities) == ({"root": "/somewhere"}, ["rebase"])


class Config(msgspec.Struct, forbid_unknown_fields=True):
    pool: str = ""
    size: int = 1


@pytest.mark.parametrize("uri", ["a.v1.x", "io.containerd.a.v1.x"])
def test_a_table_of_the_configuration_becomes_the_plugins_struct(uri: str) -> None:
    loaded = run(
        plugin("a.v1.x", init=lambda context: context.config, config=Config),
        plugin("a.v1.plain", init=lambda context: context.config),
        plugins={uri: {"pool": "p"}, "a.v1.plain": {"anything": 1}},
    )
    assert loaded.instances["a.v1", "x"] == Config(pool="p", size=1)
    assert loaded.instances["a.v1", "plain"] == {"anything": 1}


@pytest.mark.parametrize("table", [{"size": "many"}, {"typo": 1}])
def test_a_table_that_does_not_fit_stops_the_start_and_names_plugin_and_key(table: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match=r"a\.v1\.x.*(size|typo)"):
        run(plugin("a.v1.x", config=Config), plugins={"a.v1.x": table})


def test_the_ready_message_is_plain_data() -> None:
    info = run(plugin("a.v1.x", init=fail)).ready_info()
    (record,) = info["plugins"]
    assert (record["type"], record["id"], record["status"]) == ("a.v1", "x", "error")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(info)) == info
