from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.transfer.registry.manifests import MANIFEST_BYTES_MAX
from tests.support import faultyproxy
from tests.support.faultyproxy import FaultyProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import MANIFEST, Registry
from tests.unit.actors.transfer.registry.conftest import MakeClient, reference
from wharfie import errors
from wharfie.oci.descriptor import MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor

DOCUMENT = b'{"schemaVersion":2,"mediaType":"%b"}' % MANIFEST.encode()
DIGEST = f"sha256:{hashlib.sha256(DOCUMENT).hexdigest()}"
DESCRIPTOR = Descriptor(media_type=MANIFEST, digest=DIGEST, size=len(DOCUMENT))
OTHER = f"sha256:{'0' * 64}"


def answering(status: Any = 200, body: Any = DOCUMENT, **headers: str) -> Callable[[Exchange], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(status, body, named)


def test_a_tag_is_resolved_with_one_head_request(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    put = server.put_image(repository, "latest", b"layer")
    found = client().resolve(reference(proxy.host, repository))
    assert (found.media_type, found.digest, found.size) == (MANIFEST, put.digest, put.size)
    assert [seen.method for seen in proxy.requests] == ["HEAD"]
    assert MEDIA_TYPE_INDEX in proxy.requests[0].headers["accept"]
    assert proxy.requests[0].headers["user-agent"] == "wharfie/test"


def test_a_digest_goes_before_a_tag(server: Registry, client: MakeClient, repository: str) -> None:
    first = server.put_image(repository, "latest", b"one")
    server.put_image(repository, "latest", b"two")
    assert client().resolve(reference(server.host, repository, digest=first.digest)).digest == first.digest


def test_a_manifest_is_read_whole(server: Registry, client: MakeClient, repository: str) -> None:
    server.put_image(repository, "latest", b"layer")
    ref = reference(server.host, repository)
    descriptor = client().resolve(ref)
    document = json.loads(client().manifest(ref, descriptor))
    assert document["layers"][0]["size"] == 5


def test_a_missing_tag_is_not_found_and_names_everything(server: Registry, client: MakeClient, repository: str) -> None:
    with pytest.raises(
        errors.NotFound, match=f"manifest 'none' of '{repository}' not found in registry '{server.host}'"
    ):
        client().resolve(reference(server.host, repository, "none"))


@pytest.mark.parametrize("status", [400, 403, 405])
def test_where_head_is_refused_get_is_asked(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str, status: int
) -> None:
    put = server.put_image(repository, "latest", b"layer")
    proxy.on("HEAD", "/manifests/", faultyproxy.answer(status))
    assert client().resolve(reference(proxy.host, repository)).digest == put.digest
    assert [seen.method for seen in proxy.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": MANIFEST},
        {"Content_Type": MANIFEST, "Docker_Content_Digest": "sha256:short"},
        {"Content_Type": "application/json", "Docker_Content_Digest": DIGEST},
        {"Docker_Content_Digest": DIGEST},
    ],
)
def test_what_a_registry_does_not_say_is_found_in_the_body(client: MakeClient, headers: dict[str, str]) -> None:
    with HttpServer(answering(**headers)) as server:
        found = client().resolve(reference(server.host, "a/b"))
    assert (found.digest, found.size, found.media_type) == (DIGEST, len(DOCUMENT), MANIFEST)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (b'{"schemaVersion":2,"manifests":[]}', MEDIA_TYPE_INDEX),
        (b'{"schemaVersion":2,"layers":[]}', MEDIA_TYPE_MANIFEST),
    ],
)
def test_a_document_without_a_type_is_what_it_looks_like(client: MakeClient, document: bytes, media_type: str) -> None:
    with HttpServer(answering(body=document)) as server:
        assert client().resolve(reference(server.host, "a/b")).media_type == media_type


def test_a_header_that_contradicts_the_body_is_data_loss(client: MakeClient) -> None:
    with (
        HttpServer(answering(Docker_Content_Digest=OTHER)) as server,
        pytest.raises(errors.DataLoss, match="has the digest"),
    ):
        client().resolve(reference(server.host, "a/b"))


def test_another_digest_than_the_references_is_data_loss(client: MakeClient) -> None:
    with (
        HttpServer(answering(Content_Type=MANIFEST, Docker_Content_Digest=DIGEST)) as server,
        pytest.raises(errors.DataLoss),
    ):
        client().resolve(reference(server.host, "a/b", digest=OTHER))


def test_a_digest_of_another_algorithm_is_no_contradiction(client: MakeClient) -> None:
    longer = f"sha512:{hashlib.sha512(DOCUMENT).hexdigest()}"
    with HttpServer(answering(Content_Type=MANIFEST, Docker_Content_Digest=DIGEST)) as server:
        ref = reference(server.host, "a/b", digest=longer)
        descriptor = client().resolve(ref)
        assert descriptor.digest == longer
        assert client().manifest(ref, descriptor) == DOCUMENT


@pytest.mark.parametrize(
    ("body", "size"), [(DOCUMENT + b" ", len(DOCUMENT) + 1), (DOCUMENT, len(DOCUMENT) + 1), (b"", 0)]
)
def test_a_manifest_with_other_bytes_is_data_loss(client: MakeClient, body: bytes, size: int) -> None:
    descriptor = Descriptor(media_type=MANIFEST, digest=DIGEST, size=size)
    with HttpServer(answering(body=body)) as server, pytest.raises(errors.DataLoss):
        client().manifest(reference(server.host, "a/b"), descriptor)


def test_a_damaged_manifest_names_both_digests(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    server.put_image(repository, "latest", b"layer")
    ref = reference(proxy.host, repository)
    descriptor = client().resolve(ref)
    proxy.on("GET", "/manifests/", faultyproxy.damaged)
    with pytest.raises(errors.DataLoss, match=descriptor.digest) as caught:
        client().manifest(ref, descriptor)
    assert caught.value.details["expected"] == descriptor.digest
    assert caught.value.details["actual"] != descriptor.digest


def test_a_manifest_is_looked_for_among_the_blobs_as_well(
    server: Registry, client: MakeClient, repository: str
) -> None:
    put = server.put_blob(repository, DOCUMENT)
    assert client().manifest(reference(server.host, repository), DESCRIPTOR) == DOCUMENT
    assert put.digest == DIGEST


def test_a_manifest_told_to_be_huge_is_refused_before_it_is_read(client: MakeClient) -> None:
    headers = {"Content_Type": MANIFEST, "Docker_Content_Digest": DIGEST, "Content_Length": str(MANIFEST_BYTES_MAX + 1)}
    with (
        HttpServer(answering(body=b"", **headers)) as server,
        pytest.raises(errors.InvalidArgument, match="more than the 4194304"),
    ):
        client().resolve(reference(server.host, "a/b"))


def test_a_manifest_that_is_huge_without_saying_so_is_read_to_the_limit(client: MakeClient) -> None:
    sent: list[int] = []

    def endless(exchange: Exchange) -> None:
        exchange.begin(200, {"Content-Type": "text/plain", "Connection": "close"})
        exchange.close_connection = True
        while exchange.command == "GET":
            exchange.wfile.write(b" " * 65536)
            sent.append(65536)

    with HttpServer(endless) as server, pytest.raises(errors.InvalidArgument, match="larger than 4194304"):
        client().resolve(reference(server.host, "a/b"))
    assert sum(sent) < 4 * MANIFEST_BYTES_MAX


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
    ],
)
def test_schema_1_is_refused_clearly(client: MakeClient, media_type: str) -> None:
    with (
        HttpServer(answering(Content_Type=media_type, Docker_Content_Digest=DIGEST)) as server,
        pytest.raises(errors.InvalidArgument, match="schema 1") as caught,
    ):
        client().resolve(reference(server.host, "a/b"))
    assert caught.value.details["reason"] == "schema_1"


def test_schema_1_without_its_type_is_recognised(client: MakeClient) -> None:
    body = b'{"schemaVersion": 1, "name": "a/b", "fsLayers": []}'
    with (
        HttpServer(answering(body=body, Content_Type="application/json")) as server,
        pytest.raises(errors.InvalidArgument, match="schema 1"),
    ):
        client().resolve(reference(server.host, "a/b"))


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b'{"schemaVersion": "x"}', b"\xff" * 9])
def test_what_is_no_manifest_is_refused(client: MakeClient, body: bytes) -> None:
    with HttpServer(answering(body=body, Content_Type="text/html")) as server, pytest.raises(errors.InvalidArgument):
        client().resolve(reference(server.host, "a/b"))


def test_a_manifest_is_put_below_its_tag_and_by_its_digest(
    server: Registry, client: MakeClient, repository: str
) -> None:
    put = server.put_image(repository, "first", b"layer")
    ref = reference(server.host, repository, "first")
    descriptor = client().resolve(ref)
    data = client().manifest(ref, descriptor)
    for _ in range(2):
        client().push_manifest(reference(server.host, repository, "second"), descriptor, data)
    client().push_manifest(reference(server.host, repository, ""), descriptor, data)
    assert client().resolve(reference(server.host, repository, "second")).digest == put.digest


def test_a_manifest_whose_blobs_are_missing_is_refused_in_the_registrys_words(
    server: Registry, client: MakeClient, repository: str
) -> None:
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_DOCKER_MANIFEST,
            "config": {"mediaType": "x/y", "digest": OTHER, "size": 1},
            "layers": [],
        }
    ).encode()
    descriptor = Descriptor(
        media_type=MEDIA_TYPE_DOCKER_MANIFEST, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data)
    )
    with pytest.raises(errors.InvalidArgument, match="blob unknown") as caught:
        client().push_manifest(reference(server.host, repository), descriptor, data)
    assert "MANIFEST_BLOB_UNKNOWN" in caught.value.details["codes"]


def test_a_registry_that_stores_something_else_is_data_loss(client: MakeClient) -> None:
    with HttpServer(answering(201, b"", Docker_Content_Digest=OTHER)) as server, pytest.raises(errors.DataLoss):
        client().push_manifest(reference(server.host, "a/b"), DESCRIPTOR, DOCUMENT)


def test_a_tag_that_names_another_manifest_does_not_have_this_one(
    server: Registry, client: MakeClient, repository: str
) -> None:
    ref = reference(server.host, repository)
    server.put_image(repository, "latest", b"one")
    first = client().resolve(ref)
    server.put_image(repository, "latest", b"two")
    assert not client().exists(ref, first)
    assert client().exists(reference(server.host, repository, ""), first)
    assert not client().exists(reference(server.host, repository, "none"), first)
