"""File systems of other kinds than tmpfs: images on tmpfs, mounted through a loop device that goes with the mount."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

MIB = 1 << 20


def make(image: str, kind: str, *, size_bytes: int = 512 * MIB) -> None:
    """Write an empty file system, `btrfs` or `ext4`, into a sparse file."""
    with open(image, "wb") as file:
        file.truncate(size_bytes)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True, env={**os.environ, "PATH": path})


def attach(image: str, place: str) -> None:
    """Mount an image."""
    subprocess.run(["mount", "-o", "loop", image, place], check=True)


@functools.cache
def is_supported(kind: str) -> bool:
    """Whether this kernel mounts such a file system, and there is what makes one; tried once."""
    directory = tempfile.mkdtemp(prefix="loop-", dir="/dev/shm")
    try:
        make(f"{directory}/image", kind)
        os.mkdir(f"{directory}/place")
        attach(f"{directory}/image", f"{directory}/place")
        subprocess.run(["umount", f"{directory}/place"], check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    else:
        return True
    finally:
        shutil.rmtree(directory)


def need(kind: str) -> None:
    """Skip a test where there is no such file system."""
    if not is_supported(kind):
        pytest.skip(f"no {kind} here")


@contextlib.contextmanager
def loop_filesystem(kind: str, place: str) -> Iterator[str]:
    """A new file system at the directory `place`, which is made; the path of its image. Gone at the end."""
    directory = tempfile.mkdtemp(prefix="loop-", dir="/dev/shm")
    try:
        image = f"{directory}/image"
        make(image, kind)
        os.makedirs(place, exist_ok=True)
        attach(image, place)
        try:
            yield image
        finally:
            subprocess.run(["umount", place], check=True)
    finally:
        shutil.rmtree(directory)
