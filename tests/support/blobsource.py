"""Blobs in memory as `actors.transfer.imagetree.Source`, from a layout in the making."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.support.archives import Layout
from wharfie.errors import NotFound
from wharfie.oci.descriptor import Descriptor


class BlobSource:
    """The blobs of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.blobs = {
            name.removeprefix("blobs/").replace("/", ":"): data
            for name, data in layout.files.items()
            if name.startswith("blobs/") and isinstance(data, bytes)
        }

    async def size(self, digest: str) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    async def read(self, digest: str, limit: int) -> bytes:
        if digest not in self.blobs:
            raise NotFound(f"blob '{digest}' not found")
        assert len(self.blobs[digest]) <= limit
        return self.blobs[digest]


def described(descriptor: Mapping[str, Any]) -> Descriptor:
    """A descriptor of a layout in the making as a typed one."""
    return msgspec.json.decode(json.dumps(descriptor), type=Descriptor)
