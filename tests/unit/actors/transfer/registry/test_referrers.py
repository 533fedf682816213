from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from actors.transfer.registry.referrers import fallback_tag, subject_of
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import CONFIG, MANIFEST, Put, Registry
from tests.unit.actors.transfer.registry.conftest import MakeClient, reference
from wharfie import errors
from wharfie.oci.descriptor import MEDIA_TYPE_INDEX, Descriptor

DIGEST = f"sha256:{'1' * 64}"


def described(data: bytes) -> Descriptor:
    return Descriptor(media_type=MANIFEST, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))


def referring(config: Any, subject: Descriptor, artifact_type: str, **more: Any) -> bytes:
    """A manifest that says something of another one."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": {"mediaType": CONFIG, **config._asdict()},
            "layers": [],
            "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
            **more,
        }
    ).encode()


def test_without_the_api_referrers_are_kept_below_a_tag(server: Registry, client: MakeClient, repository: str) -> None:
    server.put_image(repository, "latest", b"layer")
    ref, one = reference(server.host, repository), client()
    subject = one.resolve(ref)
    assert one.referrers(ref, subject.digest) == []
    config = server.put_blob(repository, b"{}")
    signature = referring(config, subject, "a/signature", annotations={"by": "me"})
    document = referring(config, subject, "a/document")
    for data in (signature, document, signature):
        one.push_manifest(reference(server.host, repository, ""), described(data), data)
    found = one.referrers(ref, subject.digest)
    assert [entry.digest for entry in found] == [described(signature).digest, described(document).digest]
    assert found[0].annotations == {"by": "me"}
    assert [entry.artifact_type for entry in one.referrers(ref, subject.digest, "a/document")] == ["a/document"]
    tag = reference(server.host, repository, fallback_tag(subject.digest))
    assert one.resolve(tag).media_type == MEDIA_TYPE_INDEX


def page(*types: str) -> bytes:
    entries = [
        {"mediaType": MANIFEST, "digest": DIGEST, "size": number, "artifactType": kind}
        for number, kind in enumerate(types)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": entries}).encode()


def test_the_api_is_asked_first_and_read_page_by_page(client: MakeClient) -> None:
    def registry(exchange: Exchange) -> None:
        assert "/referrers/" in exchange.path
        if "last=" in exchange.path:
            exchange.answer(200, page("c"))
        else:
            exchange.answer(200, page("a", "b"), {"Link": f'</v2/a/b/referrers/{DIGEST}?last=2>; rel="next"'})

    with HttpServer(registry) as server:
        found = client().referrers(reference(server.host, "a/b"), DIGEST)
    assert [entry.artifact_type for entry in found] == ["a", "b", "c"]


def test_the_type_is_asked_for_and_checked_here_as_well(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(200, page("a/x+y", "b"))) as server:
        found = client().referrers(reference(server.host, "a/b"), DIGEST, "a/x+y")
        assert [entry.artifact_type for entry in found] == ["a/x+y"]
        assert server.requests[0].path.endswith("?artifactType=a/x%2By")


def test_pages_without_an_end_are_not_followed_for_ever(client: MakeClient) -> None:
    def registry(exchange: Exchange) -> None:
        exchange.answer(200, page("a"), {"Link": f'<{exchange.path}>; rel="next"'})

    with HttpServer(registry) as server:
        assert len(client().referrers(reference(server.host, "a/b"), DIGEST)) == 100


def test_another_host_is_not_the_next_page(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(500)) as other:

        def registry(exchange: Exchange) -> None:
            exchange.answer(200, page("a"), {"Link": f'<{other.url}/x>; rel="next"'})

        with HttpServer(registry) as server:
            assert len(client().referrers(reference(server.host, "a/b"), DIGEST)) == 1
        assert not other.requests


@pytest.mark.parametrize("link", ["http://[x/", "http://x:port/", "ftp://x/y"])
def test_a_next_page_that_is_no_http_url_is_none(client: MakeClient, link: str) -> None:
    with HttpServer(lambda exchange: exchange.answer(200, page("a"), {"Link": f'<{link}>; rel="next"'})) as server:
        assert len(client().referrers(reference(server.host, "a/b"), DIGEST)) == 1


def test_a_registry_that_notes_the_subject_is_not_helped(client: MakeClient) -> None:
    def registry(exchange: Exchange) -> None:
        exchange.body()
        exchange.answer(201, headers={"OCI-Subject": DIGEST})

    data = referring(Put(DIGEST, 1), Descriptor(media_type=MANIFEST, digest=DIGEST, size=1), "a/b")
    with HttpServer(registry) as server:
        client().push_manifest(reference(server.host, "a/b", ""), described(data), data)
        assert [seen.method for seen in server.requests] == ["PUT"]


@pytest.mark.parametrize("body", [b"<html>", b'{"manifests": 1}'])
def test_an_api_that_answers_nonsense_does_not_hide_the_tag(client: MakeClient, body: bytes) -> None:
    def registry(exchange: Exchange) -> None:
        if "/referrers/" in exchange.path:
            exchange.answer(200, body)
        else:
            exchange.answer(404)

    with HttpServer(registry) as server:
        assert client().referrers(reference(server.host, "a/b"), DIGEST) == []


def test_a_registry_that_fails_is_not_one_without_referrers(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(500)) as server, pytest.raises(errors.Unavailable):
        client().referrers(reference(server.host, "a/b"), DIGEST)


def test_the_fallback_tag_is_the_specifications() -> None:
    assert fallback_tag(DIGEST) == f"sha256-{'1' * 64}"
    assert fallback_tag(f"sha512:{'2' * 128}") == f"sha512-{'2' * 64}"


@pytest.mark.parametrize("data", [b"{}", b'"subject"', b'{"subject": 1}', b'{"schemaVersion":2,"subject":null}'])
def test_what_has_no_subject_has_none(data: bytes) -> None:
    assert subject_of(data, described(data)) is None
