"""Plugins of others: entry points of installed packages and files of `plugin_dir`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.plugins.builtin import BUILTIN
from actors.plugins.discover import discover
from actors.plugins.load import load
from actors.plugins.registry import Registry
from config.settings import Settings
from tests.support.metadata import scratch
from wharfie.types.introspection import PluginStatus

GOOD = """
from actors.plugins.registration import Registration

def start(context):
    return "started"

def register(registry):
    registry.register(Registration(type="snapshotter.v1", id={name!r}, worker="snapshot", init=start))
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with scratch() as path:
        yield Path(path)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def added(registry: Registry) -> list[str]:
    own = {registration.uri for registration in BUILTIN}
    return [registration.uri for registration in registry if registration.uri not in own]


def failures(registry: Registry) -> dict[str, str]:
    return {record.id: record.reason for record in registry.failures}


def test_without_anything_there_are_only_our_own() -> None:
    registry = discover(search=[])
    assert [registration.uri for registration in registry] == [registration.uri for registration in BUILTIN]
    assert registry.failures == []


def test_files_of_the_directory_are_read_in_the_order_of_their_names(directory: Path) -> None:
    write(directory / "b.py", GOOD.format(name="bee"))
    write(directory / "a.py", GOOD.format(name="ant"))
    write(directory / "notes.txt", "no python")
    registry = discover(str(directory), search=[])
    assert added(registry) == ["snapshotter.v1.ant", "snapshotter.v1.bee"]
    loaded = load(registry, worker="snapshot", settings=Settings())
    assert loaded.instances["snapshotter.v1", "ant"] == "started"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("x = = 1", "invalid syntax"),
        ("x = 1", "register"),
        ("def register(registry): raise ValueError('not today')", "not today"),
        ("register = 5", "neither a registration nor a function"),
        ("def register(registry): raise SystemExit(1)", "1"),
    ],
)
def test_a_file_that_cannot_be_read_is_recorded_and_disturbs_no_other(directory: Path, text: str, reason: str) -> None:
    write(directory / "a.py", text)
    write(directory / "b.py", GOOD.format(name="bee"))
    registry = discover(str(directory), search=[])
    assert added(registry) == ["snapshotter.v1.bee"]
    assert reason in failures(registry)["a.py"]
    assert [record.status for record in registry.failures] == [PluginStatus.ERROR]
    shown = load(registry, worker="metadata", settings=Settings()).plugins
    assert [(record.type, record.id) for record in shown if record.id == "a.py"] == [("plugin_dir", "a.py")]


def test_a_name_that_is_ours_is_not_given_away(directory: Path) -> None:
    write(directory / "a.py", GOOD.format(name="overlayfs"))
    registry = discover(str(directory), search=[])
    assert added(registry) == []
    assert "registered already" in failures(registry)["a.py"]


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_can_write_is_not_run(directory: Path, mode: int) -> None:
    write(directory / "a.py", GOOD.format(name="evil"), mode)
    registry = discover(str(directory), search=[])
    assert added(registry) == []
    assert "written by others" in failures(registry)["a.py"]


def test_a_file_of_another_user_is_not_run(directory: Path) -> None:
    write(directory / "a.py", GOOD.format(name="evil"))
    os.chown(directory / "a.py", 1234, -1)
    assert "written by others" in failures(discover(str(directory), search=[]))["a.py"]


def test_a_directory_that_is_not_there_is_recorded(directory: Path) -> None:
    assert "No such file" in failures(discover(str(directory / "missing"), search=[]))[str(directory / "missing")]


def package(directory: Path, name: str, points: dict[str, str], module: str) -> None:
    write(directory / f"{name}.py", module)
    metadata = directory / f"{name}-1.0.dist-info"
    write(metadata / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {name}:{attribute}\n" for key, attribute in points.items())
    write(metadata / "entry_points.txt", f"[wharfie.plugins]\n{lines}")


@pytest.fixture
def site(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with installed packages, on the path of this process."""
    monkeypatch.syspath_prepend(str(directory))
    before = set(sys.modules)
    yield directory
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_entry_points_give_a_registration_a_list_or_a_function(site: Path) -> None:
    module = GOOD.format(name="zeta") + (
        "one = Registration(type='differ.v1', id='one', worker='transfer')\n"
        "more = [Registration(type='differ.v1', id='two', worker='transfer', requires=('content.v1',))]\n"
        "nonsense = 7\n"
    )
    package(site, "wharfie_test_pkg", {"a": "one", "b": "more", "c": "register", "d": "nonsense", "e": "gone"}, module)
    registry = discover(search=[str(site)])
    assert added(registry) == ["differ.v1.one", "differ.v1.two", "snapshotter.v1.zeta"]
    assert set(failures(registry)) == {"d", "e"}


def test_nothing_is_imported_when_no_package_has_plugins(site: Path) -> None:
    package(site, "wharfie_test_other", {"a": "one"}, "raise AssertionError")
    (site / "wharfie_test_other-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nx = y:z\n")
    assert discover(search=[str(site)]).failures == []
