"""The options that make a container."""

from __future__ import annotations

import os
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli.group import Command
from cli.labels import label_mask, parse_labels
from cli.spec import container_options, run_options, variable
from wharfie.options import spec_options


def values_of(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.command("make", cls=Command)
    @container_options
    def make(**values: Any) -> None:
        found.update(values)

    result = CliRunner().invoke(make, list(arguments))
    assert result.exit_code == 0, result.output
    return found


def test_every_option_reaches_the_library() -> None:
    values = values_of(
        *("-e", "A=1", "-e", "B=2", "-w", "/tmp", "-u", "1:2", "-v", "/a:/b:ro", "--net", "host", "--read-only"),
        *("--hostname", "h", "--privileged", "--memory", "64m", "--cpus", "1.5", "--pids-limit", "9"),
        *("--entrypoint", "/bin/x"),
    )
    options = spec_options(["true"], run_options(values))
    assert options.env == ("A=1", "B=2")
    assert (options.workdir, options.user, options.hostname) == ("/tmp", "1:2", "h")
    assert (options.volumes[0].source, options.volumes[0].target, options.volumes[0].readonly) == ("/a", "/b", True)
    assert str(options.network) == "host"
    assert options.readonly
    assert options.privileged
    assert (options.memory_bytes, options.cpus, options.pids_limit) == (64 << 20, 1.5, 9)
    assert options.entrypoint == ("/bin/x",)


def test_nothing_given_is_the_librarys_default() -> None:
    assert spec_options((), run_options(values_of())) == spec_options((), {})


def test_an_empty_entrypoint_is_none_at_all() -> None:
    assert run_options(values_of("--entrypoint", ""))["entrypoint"] == []


def test_a_bare_variable_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "here")
    monkeypatch.delenv("NOBODYS", raising=False)
    assert variable("OURS") == "OURS=here"
    assert variable("NOBODYS") == "NOBODYS"
    assert variable("OURS=there") == "OURS=there"


def test_a_relative_source_is_ours_to_resolve() -> None:
    values = values_of("-v", "./data:/data:ro", "-v", "/abs:/x")
    assert run_options(values)["volumes"] == [f"{os.getcwd()}/data:/data:ro", "/abs:/x"]


def test_labels_are_keys_with_values() -> None:
    assert parse_labels(["a=1", "b=", "c", "d=x=y"]) == {"a": "1", "b": "", "c": "", "d": "x=y"}
    assert label_mask({"a": "1", "b/c": ""}) == ["labels.a", "labels.b/c"]
    with pytest.raises(click.BadParameter):
        parse_labels(["=x"])
