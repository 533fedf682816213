"""What refers to an image at Debian's registry, which has no referrers API: the tag stands in for it."""

from __future__ import annotations

import json

import pytest

import wharfie
from tests.support.archives import digest
from tests.support.commandline import Shell
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import MANIFEST, Put, Registry
from tests.support.remoteimages import INDEX, Remote, publish, publish_index
from tests.system.transfer.conftest import Rig
from wharfie.types.transfer import Progress

EMPTY = "application/vnd.oci.empty.v1+json"
SIGNATURE, BILL = "application/vnd.example.signature", "application/spdx+json"
CREATED = "org.opencontainers.image.created"
AT = "2026-01-02T03:04:05Z"
DEADLINE_S = 120.0


def refer(registry: Registry, repository: str, subject: Put, artifact_type: str, **annotations: str) -> Put:
    """Put a manifest that refers to another one; nobody lists it."""
    config = registry.put_blob(repository, b"{}")
    layer = registry.put_blob(repository, artifact_type.encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": {"mediaType": EMPTY, **config._asdict()},
        "layers": [{"mediaType": artifact_type, **layer._asdict()}],
        "subject": {"mediaType": MANIFEST, **subject._asdict()},
        "annotations": annotations,
    }
    data = json.dumps(manifest).encode()
    return registry.put_manifest(repository, digest(data), data)


def entry(put: Put, artifact_type: str, **annotations: str) -> dict[str, object]:
    return {"mediaType": MANIFEST, **put._asdict(), "artifactType": artifact_type, "annotations": annotations}


class Referred:
    """An image that a signature and a bill of material refer to, both below the tag."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self.image: Remote = publish(registry, repository, "1", {"file": b"of the image"})
        subject = self.image.manifest
        self.signature = refer(registry, repository, subject, SIGNATURE, by="me")
        self.bill = refer(registry, repository, subject, BILL, **{CREATED: AT})
        entries = [entry(self.signature, SIGNATURE, by="me"), entry(self.bill, BILL, **{CREATED: AT})]
        publish_index(registry, repository, subject.digest.replace(":", "-"), entries)


@pytest.fixture(scope="module")
def referred(registry: Registry) -> Referred:
    return Referred(registry, "referred")


@pytest.fixture
def shell(rig: Rig) -> Shell:
    return Shell(str(rig.daemon.address), rig.client.namespace)


def test_the_referrers_of_an_image_are_listed_and_nothing_is_stored(rig: Rig, referred: Referred) -> None:
    items: list[Progress] = []
    found = rig.client.images.referrers(referred.image.ref, on_progress=items.append, timeout_s=DEADLINE_S)
    assert (found.subject.digest, found.subject.size) == referred.image.manifest
    assert found.subject.media_type == MANIFEST
    assert [(one.digest, one.size) for one in found.referrers] == [referred.signature, referred.bill]
    assert [one.artifact_type for one in found.referrers] == [SIGNATURE, BILL]
    assert [one.annotations for one in found.referrers] == [{"by": "me"}, {CREATED: AT}]
    assert [item.event for item in items] == ["resolving", "resolved"]
    assert rig.names() == []
    assert list(rig.client.content.list()) == []
    assert list(rig.client.leases.list()) == []


def test_those_of_one_type_are_listed_by_themselves(rig: Rig, referred: Referred) -> None:
    found = rig.client.images.referrers(referred.image.ref, BILL, timeout_s=DEADLINE_S)
    assert [one.digest for one in found.referrers] == [referred.bill.digest]
    assert rig.client.images.referrers(referred.image.ref, "text/plain", timeout_s=DEADLINE_S).referrers == []


def test_an_image_to_which_nothing_refers_has_an_empty_list_and_a_missing_one_is_an_error(
    rig: Rig, registry: Registry, referred: Referred
) -> None:
    repository = referred.image.ref.rpartition(":")[0]
    alone = rig.client.images.referrers(f"{repository}@{referred.bill.digest}", timeout_s=DEADLINE_S)
    assert (alone.subject.digest, alone.referrers) == (referred.bill.digest, [])
    with pytest.raises(wharfie.NotFound, match="missing"):
        rig.client.images.referrers(f"{registry.host}/missing:1", timeout_s=DEADLINE_S)
    with pytest.raises(wharfie.InvalidArgument):
        rig.client.images.referrers("Not A Reference", timeout_s=DEADLINE_S)


def test_a_referrer_that_is_pushed_is_listed(rig: Rig, registry: Registry, referred: Referred) -> None:
    repository = referred.image.ref.rpartition(":")[0]
    rig.client.images.pull(referred.image.ref, unpack=False, timeout_s=DEADLINE_S)
    rig.client.images.push(referred.image.ref, f"{registry.host}/pushed:1", timeout_s=DEADLINE_S)
    assert rig.client.images.referrers(f"{registry.host}/pushed:1", timeout_s=DEADLINE_S).referrers == []
    pulled = rig.client.images.pull(f"{repository}@{referred.signature.digest}", timeout_s=DEADLINE_S)
    rig.client.images.push(pulled.image.name, f"{registry.host}/pushed:signature", timeout_s=DEADLINE_S)
    found = rig.client.images.referrers(f"{registry.host}/pushed:1", timeout_s=DEADLINE_S)
    assert [(one.digest, one.artifact_type) for one in found.referrers] == [(referred.signature.digest, SIGNATURE)]
    assert found.referrers[0].annotations == {"by": "me"}


def test_a_list_that_no_message_holds_is_an_error_and_one_type_of_it_is_not(rig: Rig) -> None:
    """From a registry with the API: three pages, each as large as a document may be."""
    manifest = b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:%s","size":2}}' % (b"0" * 64)
    subject = Put(digest(manifest), len(manifest))

    def respond(exchange: Exchange) -> None:
        path, _, query = exchange.path.partition("?")
        if "/manifests/" in path:
            exchange.answer(200, manifest, {"Content-Type": MANIFEST, "Docker-Content-Digest": subject.digest})
            return
        if not path.endswith(f"/referrers/{subject.digest}"):
            exchange.answer(200)
            return
        number = int(query.rpartition("last=")[2]) if "last=" in query else 1
        filler = "x" * (10 if "artifactType" in query else 3_500_000)
        listed = [entry(Put(subject.digest, number), SIGNATURE, filler=filler)]
        page = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        more = {"Link": f'<{exchange.path}{"&" if query else "?"}last={number + 1}>; rel="next"'} if number < 3 else {}
        exchange.answer(200, page, {"Content-Type": INDEX, **more})

    with HttpServer(respond) as server:
        with pytest.raises(wharfie.ResourceExhausted, match=r"3 referrers of .*artifact_type"):
            rig.client.images.referrers(f"{server.host}/many:1", timeout_s=DEADLINE_S)
        found = rig.client.images.referrers(f"{server.host}/many:1", SIGNATURE, timeout_s=DEADLINE_S)
    assert [one.size for one in found.referrers] == [1, 2, 3]


def test_a_fetcher_that_is_killed_is_replaced(rig: Rig, referred: Referred) -> None:
    rig.points.arm("transfer.job.fetch")
    found = rig.client.images.referrers(referred.image.ref, timeout_s=DEADLINE_S)
    assert rig.points.was_hit("transfer.job.fetch")
    assert len(found.referrers) == 2


def test_the_command_prints_a_table_or_json(shell: Shell, referred: Referred) -> None:
    ended = shell.run("image", "referrers", referred.image.ref, timeout_s=DEADLINE_S)
    assert (ended.code, ended.err) == (0, "")
    header, *rows = [line.split() for line in ended.out.splitlines()]
    assert header == ["DIGEST", "ARTIFACT", "TYPE", "SIZE", "CREATED", "ANNOTATIONS"]
    assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [
        (referred.signature.digest, SIGNATURE, "-", "by=me"),
        (referred.bill.digest, BILL, AT, "-"),
    ]
    ended = shell.run("image", "referrers", "--json", "--artifact-type", BILL, referred.image.ref, timeout_s=DEADLINE_S)
    found = json.loads(ended.out)
    assert found["subject"]["digest"] == referred.image.manifest.digest
    assert [(one["digest"], one["artifact_type"]) for one in found["referrers"]] == [(referred.bill.digest, BILL)]


def test_the_command_says_what_is_missing(shell: Shell, registry: Registry) -> None:
    ended = shell.run("image", "referrers", f"{registry.host}/missing:1", timeout_s=DEADLINE_S)
    assert (ended.code, ended.out) == (1, "")
    assert "missing" in ended.err
