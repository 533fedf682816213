"""What an image is made of, as far as the store has it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import pytest

from actors.content import members
from actors.content.store import BlobStore
from wharfie.errors import InvalidArgument
from wharfie.oci.descriptor import MEDIA_TYPE_CONFIG, MEDIA_TYPE_INDEX, MEDIA_TYPE_LAYER, MEDIA_TYPE_MANIFEST
from wharfie.types.base import Descriptor

INDEX, MANIFEST = MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST


class Images:
    """Writes documents into a store and remembers what is named."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.named: dict[str, int] = {}

    def add(self, media_type: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.store.place([data], digest)
        self.named[digest] = len(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(self, name: str) -> dict[str, Any]:
        config = self.add(MEDIA_TYPE_CONFIG, f"config of {name}".encode())
        layers = [self.add(MEDIA_TYPE_LAYER, f"layer of {name}".encode())]
        return self.add(MANIFEST, json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode())

    def index(self, *manifests: dict[str, Any]) -> dict[str, Any]:
        return self.add(INDEX, json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())

    def sizes(self, top: dict[str, Any]) -> dict[str, int]:
        target = Descriptor(media_type=top["mediaType"], digest=top["digest"], size=top["size"])
        return members.sizes(self.store, self.named, target)


@pytest.fixture
def images(store: BlobStore) -> Images:
    return Images(store)


def test_an_index_of_indexes_leads_to_every_layer(images: Images) -> None:
    top = images.index(images.index(images.manifest("a")), images.manifest("b"))
    images.add(MEDIA_TYPE_LAYER, b"of another image")
    found = images.sizes(top)
    assert len(found) == 8
    assert {digest: images.named[digest] for digest in found} == found


def test_a_platform_that_was_not_fetched_is_not_missed_but_a_layer_is(images: Images) -> None:
    here, elsewhere = images.manifest("here"), images.manifest("elsewhere")
    del images.named[elsewhere["digest"]]
    layer = f"sha256:{hashlib.sha256(b'layer of here').hexdigest()}"
    size = images.named.pop(layer)
    images.store.unlink(layer)
    found = images.sizes(images.index(here, elsewhere))
    assert elsewhere["digest"] not in found
    assert found[layer] == size
    assert len(found) == 4


def test_a_damaged_document_ends_the_way_and_does_no_harm(images: Images) -> None:
    both = {"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}
    for data in (b"{", b"", b"[]", json.dumps(both).encode(), b"\xff\xfe"):
        assert len(images.sizes(images.index(images.add(MANIFEST, data)))) == 2
    bad = {"mediaType": MEDIA_TYPE_LAYER, "digest": "sha256:../../etc/passwd", "size": 1}
    assert len(images.sizes(images.index(bad))) == 1
    gone = images.manifest("gone")
    images.store.unlink(gone["digest"])
    assert len(images.sizes(gone)) == 1
    unreadable = images.manifest("unreadable")
    path = images.store.path(unreadable["digest"])
    os.unlink(path)
    os.mkdir(path)
    assert len(images.sizes(unreadable)) == 1


def test_documents_that_name_each_other_end(images: Images) -> None:
    shared = images.manifest("shared")
    assert len(images.sizes(images.index(shared, shared, shared))) == 4


def test_an_image_has_an_end(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    with pytest.raises(InvalidArgument):
        images.sizes(images.index(images.manifest("a"), images.manifest("b")))
