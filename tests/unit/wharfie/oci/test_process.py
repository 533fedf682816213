from __future__ import annotations

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci.image_config import ContainerConfig
from wharfie.oci.process import exec_process, merge_args, merge_env, working_directory
from wharfie.oci.user import User

BASE = {
    "args": ["sleep", "1"],
    "env": ["PATH=/bin", "A=1"],
    "cwd": "/srv",
    "terminal": True,
    "user": {"uid": 7, "gid": 8, "additionalGids": [8]},
    "capabilities": {"bounding": ["CAP_CHOWN"]},
    "noNewPrivileges": True,
}


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "args", "override", "expected"),
    [
        (None, ("sh",), (), None, ["sh"]),
        (("init",), ("sh",), (), None, ["init", "sh"]),
        (("init",), ("sh",), ("ls", "-l"), None, ["init", "ls", "-l"]),
        (("init",), ("sh",), (), ("tini",), ["tini"]),
        (("init",), ("sh",), ("ls",), ("tini",), ["tini", "ls"]),
        (("init",), ("sh",), ("ls",), (), ["ls"]),
        (("init",), None, (), None, ["init"]),
    ],
)
def test_arguments_merge_as_docker_does_it(
    entrypoint: tuple[str, ...] | None,
    cmd: tuple[str, ...] | None,
    args: tuple[str, ...],
    override: tuple[str, ...] | None,
    expected: list[str],
) -> None:
    image = ContainerConfig(entrypoint=entrypoint, cmd=cmd)
    assert merge_args(image, args=args, entrypoint=override) == expected


@pytest.mark.parametrize(("image", "args"), [(ContainerConfig(), ()), (ContainerConfig(cmd=("sh",)), ("",))])
def test_nothing_to_run_is_refused(image: ContainerConfig, args: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match="no command"):
        merge_args(image, args=args)


def test_variables_replace_in_place_append_and_remove() -> None:
    assert merge_env(["A=1", "B=2", "C=3"], ["B=two", "D=", "C", "E=x=y"]) == ["A=1", "B=two", "D=", "E=x=y"]
    assert merge_env(["A=1", "A=2"]) == ["A=2"]


@pytest.mark.parametrize("entry", ["=x", "A=\0", ""])
def test_a_broken_variable_is_refused(entry: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        merge_env([], [entry])
    assert caught.value.details == {"field": "env"}


@pytest.mark.parametrize(
    ("image", "wanted", "expected"),
    [
        (None, None, "/"),
        ("/app", None, "/app"),
        ("app", None, "/app"),
        ("/app", "/srv/../tmp", "/tmp"),
        ("//x", None, "/x"),
    ],
)
def test_the_working_directory(image: str | None, wanted: str | None, expected: str) -> None:
    assert working_directory(ContainerConfig(working_dir=image), wanted) == expected


def test_a_relative_working_directory_of_the_caller_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'app' is not absolute"):
        working_directory(ContainerConfig(), "app")


def test_an_exec_is_the_containers_process_with_another_command() -> None:
    process = exec_process(BASE, args=["ls"], env=["A=2"])
    assert process == {**BASE, "args": ["ls"], "env": ["PATH=/bin", "A=2"], "terminal": False}
    assert BASE["args"] == ["sleep", "1"]


def test_an_exec_as_root_holds_what_the_container_may_hold() -> None:
    process = exec_process(BASE, args=["ls"], user=User(), workdir="/tmp")
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": [0]}
    assert process["capabilities"]["effective"] == ["CAP_CHOWN"]
    assert process["cwd"] == "/tmp"


def test_an_exec_needs_a_command() -> None:
    with pytest.raises(InvalidArgument, match="no command"):
        exec_process(BASE, args=[])
