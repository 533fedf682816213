from __future__ import annotations

import os
from pathlib import Path

import pytest

from linux import files


def test_rename_does_not_replace(shm: str) -> None:
    Path(f"{shm}/a").write_text("a")
    Path(f"{shm}/b").write_text("b")
    with pytest.raises(FileExistsError) as caught:
        files.rename(f"{shm}/a", f"{shm}/b")
    assert (caught.value.filename, caught.value.filename2) == (f"{shm}/a", f"{shm}/b")
    files.rename(f"{shm}/a", f"{shm}/c")
    assert Path(f"{shm}/c").read_text() == "a"


def test_exchange_swaps_two_names(shm: str) -> None:
    Path(f"{shm}/a").write_text("a")
    os.mkdir(f"{shm}/b")
    fd = os.open(shm, os.O_PATH)
    files.rename("a", "b", flags=files.RENAME_EXCHANGE, source_dir_fd=fd, target_dir_fd=fd)
    os.close(fd)
    assert Path(f"{shm}/b").read_text() == "a"
    assert os.path.isdir(f"{shm}/a")


def test_syncfs_works_and_fails_on_a_bad_descriptor(shm: str) -> None:
    fd = os.open(shm, os.O_RDONLY)
    files.syncfs(fd)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file"):
        files.syncfs(fd)


@pytest.mark.parametrize("directory", ["/dev/shm", "/tmp"])
def test_a_range_is_copied_within_and_across_file_systems(shm: str, directory: str) -> None:
    data = os.urandom(3_000_000)
    Path(f"{shm}/from").write_bytes(data)
    target = f"{directory}/wharfie-test-copy-{os.getpid()}"
    try:
        with open(f"{shm}/from", "rb") as source, open(target, "w+b") as copy:
            count = files.copy_range(
                source.fileno(), copy.fileno(), size=10_000_000, source_offset=1000, target_offset=5
            )
            assert count == len(data) - 1000
            assert copy.read() == b"\0" * 5 + data[1000:]
    finally:
        os.unlink(target)


def test_only_as_much_as_asked_for_is_copied(shm: str) -> None:
    Path(f"{shm}/from").write_bytes(b"0123456789")
    with open(f"{shm}/from", "rb") as source, open(f"{shm}/to", "w+b") as copy:
        assert files.copy_range(source.fileno(), copy.fileno(), size=4, source_offset=2) == 4
        assert copy.read() == b"2345"


def test_files_of_proc_that_claim_to_be_empty_are_copied_too(shm: str) -> None:
    with open("/proc/version", "rb") as source, open(f"{shm}/to", "w+b") as copy:
        assert files.copy_range(source.fileno(), copy.fileno(), size=1000) == len(Path("/proc/version").read_bytes())


def test_only_tmpfs_is_in_memory() -> None:
    assert files.is_in_memory("/dev/shm")
    assert not files.is_in_memory("/proc")


def test_what_is_no_hole_is_told(shm: str) -> None:
    with open(f"{shm}/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(1 << 30)
    with open(f"{shm}/sparse", "rb") as file:
        found = list(files.data_ranges(file.fileno(), 1 << 30))
        assert [start for start, _ in found] == [0, 1 << 20]
        assert all(end - start <= 1 << 16 for start, end in found)
        assert list(files.data_ranges(file.fileno(), 3)) == [(0, 3)]
