"""The global options at any place, and how a command line ends."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cli.group import Command, Noun, Top, global_options
from cli.main import invoke, top
from cli.settings import Settings, pass_settings

seen: list[Settings] = []


@click.command("probe", cls=Command)
@click.option("-a", "--all", "all_", is_flag=True)
@pass_settings
def probe(settings: Settings, /, *, all_: bool) -> None:
    seen.append(settings)


@click.group("noun", cls=Noun)
def noun() -> None:
    """A noun."""


noun.add_command(probe, "ls")


class Root(Top):
    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        return {"probe": probe, "noun": noun}.get(cmd_name)


root = Root("wharfie", params=[*global_options()])


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


def settings_of(*arguments: str) -> Settings:
    result = CliRunner().invoke(root, list(arguments), obj=Settings())
    assert result.exit_code == 0, result.output
    (settings,) = seen
    return settings


@pytest.mark.parametrize(
    "arguments",
    [
        ("-a", "/s", "-n", "ci", "--timeout", "2m", "--json", "probe"),
        ("probe", "--address", "/s", "-n", "ci", "--timeout", "2m", "--json"),
        ("--json", "probe", "-n", "ci", "--timeout", "120", "--address=/s"),
        ("noun", "-n", "ci", "ls", "--address", "/s", "--timeout", "2m", "--json"),
        ("-n", "other", "noun", "-n", "third", "ls", "-n", "ci", "--address", "/s", "--timeout", "2m", "--json"),
        ("noun", "list", "--json", "--address", "/s", "--timeout", "2m", "-n", "ci"),
    ],
)
def test_global_options_stand_before_and_behind_the_command(arguments: tuple[str, ...]) -> None:
    settings = settings_of(*arguments)
    assert (settings.address, settings.namespace, settings.timeout_s, settings.json) == ("/s", "ci", 120.0, True)


def test_a_command_keeps_a_short_option_that_it_uses_itself() -> None:
    assert settings_of("probe", "-a").address is None


def test_nothing_given_is_nothing_set() -> None:
    settings = settings_of("probe")
    assert (settings.address, settings.namespace, settings.timeout_s, settings.json) == (None, None, None, False)
    assert settings.limit_s == 60.0
    assert settings.wait_s is None


def test_a_timeout_of_zero_is_no_limit() -> None:
    settings = settings_of("probe", "--timeout", "0")
    assert settings.limit_s is None
    assert settings.wait_s is None


def test_a_timeout_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--timeout", "soon", "ps"]) == 2
    assert "'soon' is not a duration" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["bogus"], ["ps", "--bogus"], ["actor", "bogus"], ["tag", "x"], ["run"]])
def test_a_wrong_command_line_is_one_error_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: try 'wharfie")
    assert len(lines) == 2


def test_help_and_version_need_no_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--help"]) == 0
    assert "run   " in capsys.readouterr().out
    assert invoke(["--version"]) == 0
    assert capsys.readouterr().out.startswith("wharfie ")


def test_no_daemon_is_one_error_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["-a", "/nonexistent/socket", "--timeout", "20ms", "ps"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: no daemon answers at '/nonexistent/socket'")
    assert "wharfied" in lines[1]
    assert len(lines) == 2


def test_no_daemon_is_the_daemons_fault_for_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["-a", "/nonexistent/socket", "--timeout", "20ms", "run", "busybox", "true"]) == 125


def test_completion_offers_commands_without_importing_them() -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(top, {}, "wharfie", "_WHARFIE_COMPLETE")
    assert [item.value for item in complete.get_completions([], "im")] == ["images", "import", "image"]
    assert "tree" in [item.value for item in complete.get_completions(["actor"], "t")]


def test_completion_of_names_without_a_daemon_is_empty_and_silent(capsys: pytest.CaptureFixture[str]) -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(top, {"obj": Settings()}, "wharfie", "_WHARFIE_COMPLETE")
    assert complete.get_completions(["-a", "/nonexistent/socket", "stop"], "w") == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_its_variable(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["completion", shell]) == 0
    assert "_WHARFIE_COMPLETE" in capsys.readouterr().out
