from __future__ import annotations

from collections.abc import Callable

import pytest

from config.load import load
from config.reload import flatten, reload
from config.settings import Settings
from config.table import table

Write = Callable[[str, str], str]


@pytest.fixture
def settings(write: Write) -> Callable[[str], Settings]:
    def loaded(text: str) -> Settings:
        return load(write("c.toml", "imports = []\n" + text), explicit=True, environ={}).settings

    return loaded


def test_a_reload_without_a_change_changes_nothing(settings: Callable[[str], Settings]) -> None:
    changes = reload(settings(""), settings(""))
    assert (changes.applied, changes.restart) == ((), ())
    assert changes.settings == settings("")


def test_what_can_be_reloaded_is_applied_and_the_rest_named_and_kept(settings: Callable[[str], Settings]) -> None:
    old = settings('root = "/r/a"\n[timeouts]\n"of.nobody" = 1')
    new = settings(
        'root = "/r/b"\noom_score = 5\n[log]\nlevel = "debug"\n[supervisor]\nintensity = 7\n[router]\nuid = 5\n'
        '[timeouts]\n"shim.load" = "1s"\n[plugins."t.a"]\nx = 1\n'
    )
    changes = reload(old, new)
    assert set(changes.applied) == {"log.level", "supervisor.intensity", "timeouts.shim.load", "timeouts.of.nobody"}
    assert set(changes.restart) == {"root", "oom_score", "router.uid", "plugins.t.a"}
    now = changes.settings
    assert (now.root, now.oom_score, now.router.uid, now.plugins) == ("/r/a", 0, -1, {})
    assert (now.log.level, now.supervisor.intensity, now.timeouts["shim.load"]) == ("debug", 7, 1.0)
    assert "of.nobody" not in now.timeouts


def test_the_list_of_imports_alone_is_no_change(settings: Callable[[str], Settings], write: Write) -> None:
    write("other.toml", "")
    path = write("d.toml", 'imports = ["other.toml"]\n')
    changes = reload(settings(""), load(path, explicit=True, environ={}).settings)
    assert (changes.applied, changes.restart) == ((), ())


def test_reloading_twice_names_the_waiting_keys_again(settings: Callable[[str], Settings]) -> None:
    first = reload(settings(""), settings("oom_score = 5"))
    second = reload(first.settings, settings("oom_score = 5"))
    assert second.restart == first.restart == ("oom_score",)


def test_flattened_settings_have_every_key_of_the_table() -> None:
    assert list(flatten(Settings())) == list(table())
