"""Numbered directories: they appear and disappear whole."""

from __future__ import annotations

import os

import pytest

from actors.snapshot.directories import Directories


def fill(building: str) -> None:
    os.mkdir(f"{building}/fs")


def test_a_directory_gets_another_number_that_has_none(root: str) -> None:
    directories = Directories(root)
    for number in (1, 2):
        directories.build(number, lambda building: None)
    with pytest.raises(FileExistsError):
        directories.move(1, 2)
    directories.move(1, 3)
    assert directories.numbers() == [2, 3]


def test_a_directory_is_there_whole_or_not_at_all(root: str) -> None:
    directories = Directories(root)

    def fail(building: str) -> None:
        fill(building)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        directories.build(3, fail)
    assert os.listdir(root) == []
    directories.build(3, fill)
    assert os.listdir(f"{root}/3") == ["fs"]


def test_building_twice_keeps_the_first(root: str) -> None:
    directories = Directories(root)
    directories.build(3, fill)
    with open(f"{root}/3/fs/file", "w"):
        pass

    def never(building: str) -> None:
        raise AssertionError(building)

    directories.build(3, never)
    assert os.listdir(f"{root}/3/fs") == ["file"]


def test_of_two_builders_at_once_the_later_one_is_thrown_away(root: str) -> None:
    directories = Directories(root)

    def slow(building: str) -> None:
        fill(building)
        directories.build(3, fill)
        with open(f"{root}/3/fs/first", "w"):
            pass

    directories.build(3, slow)
    assert os.listdir(f"{root}/3/fs") == ["first"]
    assert os.listdir(root) == ["3"]


def test_what_a_crash_left_half_built_is_put_away_at_the_next_start(root: str) -> None:
    os.makedirs(f"{root}/new-7-1-0/fs")
    os.mkdir(f"{root}/6")
    directories = Directories(root)
    assert directories.numbers() == [6]
    directories.sweep()
    assert os.listdir(root) == ["6"]


def test_a_removed_directory_is_out_of_sight_at_once_and_swept_later(root: str) -> None:
    directories = Directories(root)
    directories.build(3, fill)
    directories.remove(3)
    directories.remove(3)
    assert directories.numbers() == []
    assert len(os.listdir(root)) == 1
    directories.sweep()
    assert os.listdir(root) == []


def test_cleanup_takes_the_unknown_up_to_the_highest_and_nothing_else(root: str) -> None:
    directories = Directories(root)
    for number in (1, 2, 3, 9):
        directories.build(number, fill)
    for stranger in ("lost+found", "12x", "²"):
        os.mkdir(f"{root}/{stranger}")
    assert directories.cleanup({2}, 3) == 2
    directories.sweep()
    assert sorted(os.listdir(root)) == ["12x", "2", "9", "lost+found", "²"]


def test_what_cannot_be_swept_is_logged_and_left(root: str, caplog: pytest.LogCaptureFixture) -> None:
    directories = Directories(root)
    directories.build(3, fill)
    directories.build(4, fill)
    from linux import mount

    mount.mount_one("tmpfs", f"{root}/3/fs", fstype="tmpfs")
    directories.remove(3)
    directories.remove(4)
    [busy] = [name for name in os.listdir(root) if name.startswith("rm-3")]
    directories.sweep()
    assert os.listdir(root) == [busy]
    assert "is something mounted in it" in caplog.text
    mount.umount(f"{root}/{busy}/fs")
    directories.sweep()
    assert os.listdir(root) == []
