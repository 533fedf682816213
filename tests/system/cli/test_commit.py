"""`wharfie commit` and `wharfie diff` against a real daemon."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commandline import Shell


@pytest.fixture
def box(shell: Shell) -> Iterator[str]:
    shell.ok("run", "--name", "box", "busybox", "sh", "-c", "echo 1 > /etc/new; rm /etc/group; touch /tmp/t; exit 0")
    yield "box"
    shell.run("rmi", "-f", "mine:latest", "mine:2")


def test_diff_tells_what_was_added_changed_and_deleted(shell: Shell, box: str) -> None:
    assert shell.ok("diff", box) == "C /etc\nD /etc/group\nA /etc/new\nC /tmp\nA /tmp/t\n"
    assert shell.ok("container", "diff", "bo") == shell.ok("diff", box)
    assert shell.json("diff", box)[1] == {"kind": "D", "path": "/etc/group"}


def test_commit_makes_an_image_that_runs(shell: Shell, box: str) -> None:
    digest = shell.ok("commit", "-m", "why", "-a", "me", "-c", 'CMD ["cat", "/etc/new"]', box, "mine").strip()
    assert digest.startswith("sha256:")
    assert shell.ok("run", "--rm", "mine") == "1\n"
    # The same files make the same image under the same time.
    made = [
        shell.json("commit", "--source-date-epoch", "5", "--compression", "zstd", box, name)
        for name in ("mine:2", "mine:latest")
    ]
    assert made[0]["image"]["target"] == made[1]["image"]["target"]
    assert made[0]["image"]["name"] == "mine:2"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("commit", "nobody", "x"), "container 'nobody' not found"),
        (("commit", "-c", "RUN x", "box", "x"), "change 'RUN x' is malformed: only CMD"),
        (("diff", "nobody"), "container 'nobody' not found"),
    ],
)
def test_what_cannot_be_is_said(shell: Shell, box: str, words: tuple[str, ...], part: str) -> None:
    done = shell.run(*words)
    assert done.code == 1
    assert part in done.err


def test_a_snapshot_is_told_by_lines_or_written_as_a_layer(shell: Shell, box: str, tmp_path: Path) -> None:
    assert shell.ok("snapshot", "diff", box) == shell.ok("diff", box)
    target = str(tmp_path / "layer.tar")
    digest = shell.ok("snapshot", "diff", "-o", target, "--compression", "none", box).strip()
    assert digest == f"sha256:{hashlib.sha256(Path(target).read_bytes()).hexdigest()}"
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["etc", "etc/.wh.group", "etc/new", "tmp", "tmp/t"]
