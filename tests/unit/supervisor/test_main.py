"""The command line of `wharfied`: what it prints and how it ends. The running daemon is tested in tests/system."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor import main as command_line
from wharfie.version import __version__


def run(*argv: str) -> int:
    return command_line.main(argv)


@pytest.fixture(autouse=True)
def no_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command_line, "DEFAULT_FILE", str(tmp_path / "none.toml"))


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"wharfied {__version__}\n"


@pytest.mark.parametrize("argv", [("--help",), ("config", "--help"), ("publish", "--help"), ("service", "--help")])
def test_help_is_helpful(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*argv)
    assert end.value.code == 0
    assert "usage: wharfied" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [("--nonsense",), ("nonsense",), ("publish",), ("config",), ("-l", "loud")])
def test_a_wrong_command_line_ends_with_2(argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*argv)
    assert end.value.code == 2


def test_config_default_is_toml_that_check_accepts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("config", "default") == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["supervisor"]["intensity"] == 20
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert run("--config", str(path), "config", "check") == 0
    assert capsys.readouterr().out == f"{path}: can be used\n"


@pytest.mark.parametrize("action", ["dump", "migrate"])
def test_config_dump_merges_file_and_flags(action: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('root = "/srv/a"\n[log]\nlevel = "debug"\n')
    assert run("-c", str(path), "--root", "/srv/b", "--address", "/run/x.sock", "config", action) == 0
    dumped = tomllib.loads(capsys.readouterr().out)
    assert (dumped["root"], dumped["log"]["level"], dumped["router"]["address"]) == ("/srv/b", "debug", "/run/x.sock")


def test_a_bad_configuration_is_named_with_file_section_and_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[supervisor]\nintensity = "many"\n[timeouts]\n"shim.load" = "soon"\n')
    assert run("-c", str(path), "config", "check") == 78
    err = capsys.readouterr().err
    assert f"{path}: [supervisor] intensity" in err
    assert "shim.load" in err


def test_a_file_that_was_named_has_to_exist(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("-c", str(tmp_path / "x.toml"), "config", "check") == 78
    assert "x.toml" in capsys.readouterr().err
    assert run("config", "check") == 0


def test_an_empty_address_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--address", "", "--root", str(tmp_path / "r"), "--state", str(tmp_path / "s")) == 78
    assert "--address" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_publish_without_a_daemon_or_without_json_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no json")))
    assert run("--address", str(tmp_path / "a.sock"), "publish", "--topic", "/a") == 1
    assert "not a JSON object" in capsys.readouterr().err


def test_oci_hook_without_a_command_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}")))
    assert run("oci-hook") == 1
    assert "no command is given" in capsys.readouterr().err
