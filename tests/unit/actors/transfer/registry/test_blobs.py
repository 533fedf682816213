from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.transfer.registry.policy import Policy
from tests.support import faultyproxy
from tests.support.faultyproxy import FaultyProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import Registry
from tests.unit.actors.transfer.registry.conftest import MakeClient, layer, read_all, reference
from wharfie import errors
from wharfie.oci.descriptor import Descriptor

DATA = os.urandom(1_500_000)


@pytest.fixture
def blob(server: Registry, repository: str) -> Descriptor:
    server.put_blob(repository, DATA)
    return layer(DATA)


def test_a_blob_is_read_whole(server: Registry, client: MakeClient, repository: str, blob: Descriptor) -> None:
    assert read_all(client(), reference(server.host, repository), blob) == DATA


@pytest.mark.parametrize(
    "part", [(0, 1), (1, 1), (1000, 2000), (0, 1_500_000), (1_499_999, 1), (1_400_000, None), (7, 0)]
)
def test_a_part_is_read(
    server: Registry, client: MakeClient, repository: str, blob: Descriptor, part: tuple[int, int]
) -> None:
    offset, length = part
    end = len(DATA) if length is None else offset + length
    assert read_all(client(), reference(server.host, repository), blob, offset, length) == DATA[offset:end]


def test_nothing_is_left_at_the_end(server: Registry, client: MakeClient, repository: str, blob: Descriptor) -> None:
    ref = reference(server.host, repository)
    with client().fetch(ref, blob, len(DATA)) as reader:
        assert reader.readinto(bytearray(10)) == 0


def test_an_empty_blob_is_read(server: Registry, client: MakeClient, repository: str) -> None:
    server.put_blob(repository, b"")
    assert read_all(client(), reference(server.host, repository), layer(b"")) == b""


@pytest.mark.parametrize("offset", [-1, 1_500_001])
def test_an_offset_outside_is_out_of_range(
    server: Registry, client: MakeClient, repository: str, blob: Descriptor, offset: int
) -> None:
    with pytest.raises(errors.OutOfRange, match="has 1500000 bytes"):
        client().fetch(reference(server.host, repository), blob, offset)


def test_parts_are_read_in_parallel_over_one_client(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    one, ref = client(), reference(proxy.host, repository)
    parts = [(offset, 200_000) for offset in range(0, len(DATA), 200_000)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: read_all(one, ref, blob, *part), parts))
    assert b"".join(found) == DATA
    assert len(proxy.seen("GET", "/blobs/")) == len(parts) == 8


def test_a_missing_blob_is_not_found(server: Registry, client: MakeClient, repository: str, blob: Descriptor) -> None:
    missing = layer(b"missing")
    with pytest.raises(errors.NotFound, match=missing.digest):
        client().fetch(reference(server.host, repository), missing)
    assert not client().exists(reference(server.host, repository), missing)
    assert client().exists(reference(server.host, repository), blob)


@pytest.mark.parametrize("reset", [False, True])
def test_a_blob_whose_connection_breaks_is_continued_where_it_broke(
    proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor, reset: bool
) -> None:
    for _ in range(3):
        proxy.on("GET", "/blobs/", faultyproxy.cut_after(300_000, reset=reset))
    assert read_all(client(), reference(proxy.host, repository), blob) == DATA
    offsets = [int(seen.headers.get("range", "bytes=0-")[6:].split("-")[0]) for seen in proxy.seen("GET", "/blobs/")]
    assert offsets == sorted(offsets)
    assert len(offsets) == 4
    if not reset:  # a reset may discard what was on its way
        assert offsets == [0, 300_000, 600_000, 900_000]


def test_a_server_without_ranges_begins_anew_and_says_so(
    proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    proxy.on("GET", "/blobs/", faultyproxy.without_ranges)
    with client().fetch(reference(proxy.host, repository), blob, 1000) as reader:
        assert reader.offset == 0
        assert reader.remaining == reader.size == len(DATA)


def test_a_blob_is_continued_by_a_server_without_ranges(
    proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    proxy.on("GET", "/blobs/", faultyproxy.cut_after(300_000))
    proxy.on("GET", "/blobs/", faultyproxy.without_ranges)
    assert read_all(client(), reference(proxy.host, repository), blob) == DATA


def test_a_connection_that_breaks_without_a_byte_again_and_again_is_given_up(
    proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    proxy.on("GET", "/blobs/", faultyproxy.cut_after(0), times=100)
    with pytest.raises(errors.Unavailable) as caught:
        read_all(client(), reference(proxy.host, repository), blob)
    assert caught.value.retryable
    assert len(proxy.seen("GET")) == 4


def test_a_silent_registry_is_left_after_the_idle_timeout(
    proxy: FaultyProxy, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    impatient = client(policy=Policy(idle_timeout_s=1.0, backoff_first_s=0.001))
    proxy.on("GET", "/blobs/", faultyproxy.stall_after(300_000))
    proxy.on("GET", "/blobs/", faultyproxy.hold)
    assert read_all(impatient, reference(proxy.host, repository), blob) == DATA


def test_a_registry_that_trickles_is_left_as_if_it_were_silent(client: MakeClient) -> None:
    beats = 0

    def trickle(exchange: Exchange) -> None:
        nonlocal beats
        exchange.begin(200, {"Content-Length": str(len(DATA))})
        while True:
            beats += 1
            exchange.wfile.write(b"x")
            # Waits for the client, which says nothing: a tenth of its patience.
            exchange.connection.settimeout(0.05)
            try:
                if not exchange.connection.recv(1):
                    return
            except TimeoutError:
                continue

    impatient = client(policy=Policy(idle_timeout_s=0.5, attempts=1))
    with HttpServer(trickle) as server, pytest.raises(errors.Unavailable) as caught:
        read_all(impatient, reference(server.host, "a/b"), layer(DATA))
    assert caught.value.retryable
    assert beats > 1


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_blob_of_another_size_than_its_descriptor_is_data_loss(
    server: Registry, client: MakeClient, repository: str, blob: Descriptor, size: int
) -> None:
    wrong = Descriptor(media_type=blob.media_type, digest=blob.digest, size=size)
    for offset in (0, 10):
        with pytest.raises(errors.DataLoss, match=f"its descriptor says {size}"):
            client().fetch(reference(server.host, repository), wrong, offset)


def test_a_body_shorter_than_its_length_is_asked_for_again_and_then_given_up(client: MakeClient) -> None:
    def short(exchange: Exchange) -> None:
        exchange.begin(200, {"Content-Length": str(len(DATA)), "Connection": "close"})
        exchange.wfile.write(DATA[:1000])
        exchange.close_connection = True

    with HttpServer(short) as server, pytest.raises(errors.WharfieError) as caught:
        read_all(client(), reference(server.host, "a/b"), layer(DATA))
    assert caught.value.retryable
    assert len(server.requests) == 4


def test_a_body_without_a_length_that_ends_early_is_data_loss(client: MakeClient) -> None:
    def short(exchange: Exchange) -> None:
        exchange.begin(200, {"Connection": "close"})
        exchange.wfile.write(DATA[:1000])
        exchange.close_connection = True

    with HttpServer(short) as server, pytest.raises(errors.DataLoss, match="ends after 1000 of 1500000"):
        read_all(client(), reference(server.host, "a/b"), layer(DATA))


def test_bytes_beyond_the_descriptors_size_are_not_read(client: MakeClient) -> None:
    def long(exchange: Exchange) -> None:
        exchange.begin(200, {"Connection": "close"})
        exchange.wfile.write(DATA)
        exchange.close_connection = True

    with HttpServer(long) as server:
        assert read_all(client(), reference(server.host, "a/b"), layer(DATA[:1000])) == DATA[:1000]


@pytest.mark.parametrize("content_range", ["bytes 0-99/1500000", "bytes 100-1600000/1500000", "pages 1-2/3", ""])
def test_another_part_than_the_one_asked_for_is_refused(client: MakeClient, content_range: str) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(206, DATA[:100], {"Content-Range": content_range})) as server,
        pytest.raises(errors.FailedPrecondition, match="other bytes"),
    ):
        client().fetch(reference(server.host, "a/b"), layer(DATA), 100)


def test_another_digest_in_the_header_is_data_loss_before_a_byte_is_read(client: MakeClient) -> None:
    wrong = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    with (
        HttpServer(lambda exchange: exchange.answer(200, DATA, wrong)) as server,
        pytest.raises(errors.DataLoss, match="has the digest"),
    ):
        client().fetch(reference(server.host, "a/b"), layer(DATA))


def test_a_blob_of_nobody_is_fetched_from_its_own_urls(
    server: Registry, client: MakeClient, repository: str, blob: Descriptor
) -> None:
    elsewhere = f"{server.url}/v2/{repository}/blobs/{blob.digest}"
    foreign = Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, urls=("ftp://x/y", elsewhere))
    assert read_all(client(), reference(server.host, f"{repository}/other"), foreign) == DATA
