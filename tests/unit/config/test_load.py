from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from config.error import ConfigError
from config.load import Loaded, Origin, Source, load
from config.settings import Settings
from config.table import table

Write = Callable[[str, str], str]

NO_IMPORTS = "imports = []\n"


def loaded(path: str | None, flags: Mapping[str, object] | None = None, **environ: str) -> Loaded:
    return load(path, explicit=True, flags=flags, environ=environ)


def refusal(path: str | None, flags: Mapping[str, object] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(path, flags, **environ)
    return str(caught.value)


def test_without_a_file_everything_is_the_default_and_says_so() -> None:
    result = loaded(None)
    assert result.settings.root == "/var/lib/wharfie"
    assert result.settings.timeouts["shim.load"] == 5.0
    assert result.settings.timeouts["shim.cleanup"] == 5.0
    assert result.settings.timeouts["shim.shutdown"] == 3.0
    assert result.settings.timeouts["task.state"] == 2.0
    assert result.sources["root"] == Source(Origin.DEFAULT)
    assert set(result.sources) == set(table())
    assert (result.files, result.warnings) == ((), ())


def test_places_without_a_value_lie_in_the_state_directory() -> None:
    result = loaded(None, {"state": "/run/other"})
    assert result.settings.router.address == "/run/other/wharfie.sock"
    assert result.settings.shim.address == "/run/other/s"
    assert result.settings.shim.runc_root == "/run/other/runc"
    assert result.sources["router.address"] == Source(Origin.DERIVED, "from state")


def test_what_stands_later_wins_default_file_environment_flag(write: Write) -> None:
    path = write("c.toml", NO_IMPORTS + 'root = "/file"\nstate = "/file-state"\n[log]\nlevel = "warn"\n')
    result = loaded(path, {"root": "/flag", "log.level": None}, WHARFIED_ROOT="/env", WHARFIED_STATE="/env-state")
    assert (result.settings.root, result.settings.state, result.settings.log.level) == ("/flag", "/env-state", "warn")
    assert str(result.sources["root"]) == "flag --root"
    assert str(result.sources["state"]) == "environment WHARFIED_STATE"
    assert str(result.sources["log.level"]) == f"file {path}"
    assert result.sources["log.format"] == Source(Origin.DEFAULT)
    assert result.files == (path,)


def test_the_environment_is_that_of_the_process_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHARFIED_LOG_LEVEL", "trace")
    assert load(None).settings.log.level == "trace"
    assert load(None, environ={}).settings.log.level == "info"


def test_a_missing_file_is_an_error_only_if_it_was_named(shm: str) -> None:
    path = f"{shm}/none.toml"
    assert "no such file" in refusal(path)
    assert load(path, explicit=False, environ={}).settings.root == "/var/lib/wharfie"


def test_every_value_of_the_main_file_counts_even_zero(write: Write) -> None:
    path = write("c.toml", NO_IMPORTS + "[events]\nretention_count = 0\n[supervisor]\nintensity = 0\n")
    settings = loaded(path).settings
    assert (settings.events.retention_count, settings.supervisor.intensity) == (0, 0)
    assert settings.imports == ()


def test_imports_stand_over_the_file_that_imports_them_in_their_order(write: Write) -> None:
    write("d/20.toml", '[log]\nlevel = "error"\n[timeouts]\n"shim.load" = "2s"\n')
    write("d/10.toml", '[log]\nlevel = "warn"\nformat = "json"\ndisabled = 1\n[plugins."t.a"]\nx = 1\n')
    write("last.toml", 'disabled_plugins = ["t.b", "t.c"]\n[plugins."t.a"]\ny = 2\n[router]\nuid = 0\nmode = 0\n')
    path = write(
        "c.toml",
        'imports = ["d/*.toml", "last.toml"]\ndisabled_plugins = ["t.a", "t.b"]\n[log]\nlevel = "debug"\n'
        '[timeouts]\n"shim.load" = "1s"\n"task.state" = "1s"\n',
    )
    result = loaded(path)
    directory = os.path.dirname(path)
    assert result.files == (path, f"{directory}/d/10.toml", f"{directory}/d/20.toml", f"{directory}/last.toml")
    settings = result.settings
    assert (settings.log.level, settings.log.format) == ("error", "json")
    assert settings.disabled_plugins == ("t.a", "t.b", "t.c")
    assert settings.plugins == {"t.a": {"x": 1, "y": 2}}
    assert (settings.timeouts["shim.load"], settings.timeouts["task.state"]) == (2.0, 1.0)
    assert settings.router.mode == 0o660
    assert str(result.sources["log.level"]) == f"file {directory}/d/20.toml"
    assert str(result.sources["plugins.t.a"]) == f"file {directory}/last.toml"
    assert len(result.warnings) == 3
    assert "[log] disabled: unknown key" in result.warnings[0]
    assert "[router] uid: an imported file cannot reset" in result.warnings[1]
    assert "[router] mode: an imported file cannot reset" in result.warnings[2]


def test_a_cycle_of_imports_ends_and_a_file_is_read_once(write: Write, shm: str) -> None:
    os.symlink("b.toml", f"{shm}/link.toml")
    path = write("a.toml", 'imports = ["b.toml", "link.toml", "a.toml"]\n[log]\nlevel = "warn"\n')
    write("b.toml", 'imports = ["a.toml", "b.toml"]\n[log]\nlevel = "error"\n')
    result = loaded(path)
    assert result.settings.log.level == "error"
    assert result.files == (path, f"{shm}/b.toml")


def test_an_import_of_an_import_is_relative_to_its_own_directory_and_stands_over_it(write: Write) -> None:
    path = write("a.toml", 'imports = ["sub/b.toml"]\n')
    write("sub/b.toml", 'imports = ["c.toml"]\n[log]\nlevel = "warn"\n')
    write("sub/c.toml", '[log]\nlevel = "error"\n')
    assert loaded(path).settings.log.level == "error"


def test_a_pattern_may_match_nothing_but_a_name_has_to_exist(write: Write, shm: str) -> None:
    assert loaded(write("a.toml", 'imports = ["none/*.toml"]\n')).settings == Settings(
        imports=("none/*.toml",),
        router=loaded(None).settings.router,
        shim=loaded(None).settings.shim,
    )
    sentence = refusal(write("b.toml", 'imports = ["none.toml"]\n'))
    assert sentence.startswith(f'{shm}/b.toml: imports: "{shm}/none.toml" does not exist; ')


def test_mistakes_of_all_files_and_flags_are_told_at_once(write: Write, shm: str) -> None:
    write("b.toml", "root = 1\n")
    path = write("a.toml", 'imports = ["b.toml"]\nstate = 2\nunknown = 1\n')
    with pytest.raises(ConfigError) as caught:
        loaded(path, {"log.level": "loud"}, WHARFIED_ADDRESS="@x")
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        path,
        f"{shm}/b.toml",
        "environment WHARFIED_ADDRESS",
        "flag --log-level",
    ]
    assert "unknown" in caught.value.warnings[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"root = [", "is not valid TOML: "),
        (b"a = 1\na = 2", "is not valid TOML: "),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b"a = " + b"[" * 5000, "is nested too deeply|is not valid TOML"),
        (b"#" * ((1 << 20) + 1), "is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named(shm: str, content: bytes, sentence: str) -> None:
    path = f"{shm}/c.toml"
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(ConfigError, match=sentence) as caught:
        loaded(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read_is_named_with_who_wanted_it(shm: str, write: Write) -> None:
    os.mkdir(f"{shm}/d.toml")
    assert refusal(f"{shm}/d.toml").endswith("cannot be read: is a directory (it was named as the configuration file)")
    path = write("a.toml", 'imports = ["d.toml"]\n')
    assert refusal(path) == f"{shm}/d.toml: cannot be read: is a directory (it is imported by {path})"


@pytest.mark.parametrize(
    ("flags", "where", "sentence"),
    [
        ({"root": ""}, "flag --root", "is empty"),
        ({"state": ""}, "flag --state", "is empty"),
        ({"router.address": ""}, "flag --address", "is empty"),
        ({"root": "/x/y", "state": "/x/y"}, "flag --state", "is the root directory too"),
        ({"root": "/x/y", "state": "/x//z/../y/"}, "flag --state", "is the root directory too"),
        ({"root": "/"}, "flag --root", "is a directory of the system"),
        ({"state": "/run/"}, "flag --state", "is a directory of the system"),
        ({"root": "/usr/lib"}, "flag --root", "is a directory of the system"),
        ({"router.address": "/r/" + "x" * 105}, "flag --address", "has 108 bytes, more than the 107"),
        ({"router.address": "/r/" + "ü" * 53}, "flag --address", "has 109 bytes, more than the 107"),
        ({"state": "/s/" + "x" * 85}, "derived from state", "name a directory of at most 82 bytes"),
        ({"state": "/s/" + "x" * 90}, "flag --state", "name a shorter state directory"),
    ],
)
def test_a_rule_between_settings_names_the_flag_and_the_remedy(
    flags: dict[str, object], where: str, sentence: str
) -> None:
    lines = refusal(None, flags).splitlines()
    assert any(line.startswith(f"{where}: ") and sentence in line for line in lines), lines


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('root = ""', 'root: is empty; name a directory such as "/var/lib/wharfie"'),
        ('state = ""', 'state: is empty; name a directory such as "/run/wharfie"'),
        (
            '[router]\ntcp_address = "h:1"',
            '[router] tcp_address: "h:1" (a string) is refused without CURVE keys; set [router] curve_server_key_file too',
        ),
        (
            "[supervisor]\nbackoff_first_s = 20\nbackoff_max_s = 10",
            "[supervisor] backoff_max_s: 10 s is less than backoff_first_s, 20 s; raise it",
        ),
    ],
)
def test_a_rule_between_settings_names_the_file(write: Write, text: str, sentence: str) -> None:
    path = write("c.toml", NO_IMPORTS + text + "\n")
    assert f"{path}: {sentence}" in refusal(path).splitlines()


def test_tcp_is_allowed_with_both_keys(write: Write) -> None:
    path = write(
        "c.toml",
        '[router]\ntcp_address = "h:1"\ncurve_server_key_file = "/k"\ncurve_allowed_clients_dir = "/c"\n',
    )
    assert loaded(path).settings.router.tcp_address == "h:1"


@pytest.mark.parametrize("length", [107, 108])
def test_a_socket_path_of_107_bytes_is_the_longest(length: int) -> None:
    address = "/r/" + "x" * (length - 3)
    if length > 107:
        assert f'the socket path "{address}" has {length} bytes' in refusal(None, {"router.address": address})
    else:
        assert loaded(None, {"router.address": address}).settings.router.address == address


def test_relative_directories_become_absolute(monkeypatch: pytest.MonkeyPatch, shm: str) -> None:
    monkeypatch.chdir(shm)
    settings = loaded(None, {"root": "r", "state": "./s"}).settings
    assert (settings.root, settings.state) == (f"{shm}/r", f"{shm}/s")


def test_root_and_state_that_are_one_directory_through_a_link_are_refused(shm: str) -> None:
    os.mkdir(f"{shm}/r")
    os.symlink("r", f"{shm}/s")
    assert "is the root directory too" in refusal(None, {"root": f"{shm}/r", "state": f"{shm}/s"})


def test_settings_cannot_be_changed() -> None:
    settings = loaded(None).settings
    with pytest.raises(AttributeError):
        settings.root = "/x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.timeouts["shim.load"] = 1.0  # type: ignore[index]


def test_loading_imports_nothing_that_only_a_command_needs(write: Write) -> None:
    path = write("c.toml", NO_IMPORTS)
    script = (
        "import sys; from config.load import load; load(sys.argv[1], explicit=True);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], check=True, capture_output=True, text=True, cwd=os.getcwd()
    )
    names = set(done.stdout.split())
    assert {"config", "msgspec", "tomli"} <= names
    assert names.isdisjoint({"tomli_w", "difflib", "subprocess", "hashlib", "click", "zmq", "asyncio", "wharfie"})
