"""Answers of deletes that outlive this worker: who asks again with the same key after a crash gets the first answer.

What a delete removed cannot carry its key, so a small file does, `state/tasks/.answers/<hash of key>`, for a while.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time

import msgspec

from wharfie.types.tasks import Exit

KEEP_S = 600.0


class Answers:
    """The kept answers.

    Args:
        directory: made when missing.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._next_prune_s = 0.0

    def keep(self, key: str, answer: Exit) -> None:
        """Keep an answer; with an empty key nothing."""
        if not key:
            return
        path = self._path(key)
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.msgpack.encode(answer))
        os.rename(f"{path}.new", path)
        if time.monotonic() >= self._next_prune_s:
            self._next_prune_s = time.monotonic() + KEEP_S / 10
            self.prune()

    def find(self, key: str) -> Exit | None:
        """The answer that was given for a key, if it is still kept."""
        if not key:
            return None
        try:
            with open(self._path(key), "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=Exit)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def prune(self) -> None:
        """Forget what is older than `KEEP_S`."""
        oldest = time.time() - KEEP_S
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat().st_mtime < oldest:
                        os.unlink(entry.path)

    def _path(self, key: str) -> str:
        return f"{self._directory}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"
