from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from actors.runtime import bundle
from actors.runtime.answers import KEEP_S, Answers
from actors.runtime.bundle import TaskFile
from linux.mount import mount, umount
from wharfie.types.tasks import Exit, Stdio

TASK = TaskFile(
    namespace="n",
    id="c",
    incarnation="i",
    socket="/s",
    runtime="/usr/sbin/runc",
    runtime_root="/r",
    key="k",
    stdio=Stdio(stdout="file:///log"),
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return f"{tmp_path}/tasks/n/c"


def test_a_bundle_is_private_and_tells_of_its_task(path: str) -> None:
    bundle.begin(path, TASK)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert bundle.read_task(path) == TASK
    assert not bundle.has_spec(path)
    bundle.write_spec(path, {"ociVersion": "1"})
    assert bundle.has_spec(path)
    assert bundle.read_spec(path) == {"ociVersion": "1"}


def test_a_second_bundle_of_one_name_is_refused_and_the_first_untouched(path: str) -> None:
    bundle.begin(path, TASK)
    with pytest.raises(FileExistsError):
        bundle.begin(path, TASK)
    assert bundle.read_task(path) == TASK


def test_the_shims_process_is_noted(path: str) -> None:
    bundle.begin(path, TASK)
    assert bundle.read_shim(path) == (0, 0)
    bundle.note_shim(path, 12, 3456)
    assert bundle.read_shim(path) == (12, 3456)


def test_removing_frees_the_name_and_is_idempotent(path: str) -> None:
    bundle.begin(path, TASK)
    bundle.remove(path)
    bundle.remove(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_root_that_is_still_mounted_is_not_emptied(path: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("precious")
    bundle.begin(path, TASK)
    mount(f"{tmp_path}/data", f"{path}/rootfs", flags=4096)
    try:
        bundle.remove(path)
        assert not os.path.exists(path)
        assert (tmp_path / "data/file").read_text() == "precious"
    finally:
        umount(f"{os.path.dirname(path)}/.c/rootfs")
    bundle.remove(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_bundles_are_found_and_half_removed_ones_go(path: str, tmp_path: Path) -> None:
    bundle.begin(path, TASK)
    (tmp_path / "tasks/n/.old/rootfs").mkdir(parents=True)
    (tmp_path / "tasks/.answers").mkdir()
    assert bundle.all_bundles(f"{tmp_path}/tasks") == [("n", "c", path)]
    assert not (tmp_path / "tasks/n/.old").exists()
    assert bundle.all_bundles(f"{tmp_path}/nothing") == []


def test_an_incomplete_bundle_has_no_task(path: str) -> None:
    os.makedirs(path)
    assert bundle.read_task(path) is None
    with open(f"{path}/task.json", "w", encoding="utf-8") as file:
        file.write("{")
    assert bundle.read_task(path) is None


def test_an_answer_is_kept_by_its_key_for_a_while(tmp_path: Path) -> None:
    answers = Answers(f"{tmp_path}/answers")
    answer = Exit(container_id="c", pid=1, exit_status=3)
    answers.keep("key", answer)
    answers.keep("", answer)
    assert Answers(f"{tmp_path}/answers").find("key") == answer
    assert answers.find("other") is answers.find("") is None
    [file] = (tmp_path / "answers").iterdir()
    os.utime(file, (0, os.stat(file).st_mtime - KEEP_S - 1))
    answers.prune()
    assert answers.find("key") is None
