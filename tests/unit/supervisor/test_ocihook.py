"""`wharfied oci-hook`: what is filled in, and that the program really runs with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.ocihook import BadHook, fields, fill, run
from tests.support.fork import in_fork


def bundle(tmp_path: Path, root: str = "rootfs") -> bytes:
    (tmp_path / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "root": {"path": root}}))
    state: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "id": "web",
        "status": "creating",
        "pid": 4711,
        "bundle": str(tmp_path),
        "annotations": {"org.example/net": "lan", 'od"d': "quote"},
    }
    return json.dumps(state).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{id}}", "web"),
        ("{{ pid }}/{{status}}", "4711/creating"),
        ("{{- id -}}", "web"),
        ('{{annotation "org.example/net"}}', "lan"),
        ("{{annotation `org.example/net`}}", "lan"),
        ('{{annotation "od\\"d"}}', "quote"),
        ('{{annotation "absent"}}', ""),
        ("no field {id}", "no field {id}"),
    ],
)
def test_fields_are_filled_in(tmp_path: Path, text: str, expected: str) -> None:
    assert fill(text, fields(bundle(tmp_path))) == expected


@pytest.mark.parametrize(
    ("root", "expected"), [("rootfs", "{bundle}/rootfs"), ("/abs", "/abs"), ("../x", "{parent}/x")]
)
def test_rootfs_is_absolute(tmp_path: Path, root: str, expected: str) -> None:
    values = fields(bundle(tmp_path, root))
    assert values["rootfs"] == expected.format(bundle=tmp_path, parent=tmp_path.parent)


@pytest.mark.parametrize("text", ["{{name}}", "{{annotation}}", "{{annotation org.example/net}}", "{{}}"])
def test_an_unknown_field_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadHook, match="is none of id, bundle"):
        fill(text, fields(bundle(tmp_path)))


def test_bad_state_and_bad_bundle_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadHook, match="not the state of a container"):
        fields(b"{}")
    with pytest.raises(BadHook, match=r"config\.json' cannot be read"):
        fields(json.dumps({"id": "a", "bundle": str(tmp_path)}).encode())
    with pytest.raises(BadHook, match="no command"):
        run([], state=b"{}")


def test_the_program_runs_with_filled_arguments_and_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    state = bundle(tmp_path)

    def hook() -> None:
        script = f'echo "$1 $PIDVAR" > {out}'
        run(
            ["sh", "-c", script, "sh", "{{id}}"], state=state, environ={"PATH": os.environ["PATH"], "PIDVAR": "{{pid}}"}
        )

    in_fork(hook)
    assert out.read_text() == "web 4711\n"
