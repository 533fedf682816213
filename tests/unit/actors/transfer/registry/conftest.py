"""Real registries on loopback, and clients of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from actors.transfer.registry.client import Registry as Client
from actors.transfer.registry.policy import Policy
from tests.support.certificates import Authority
from tests.support.faultyproxy import FaultyProxy
from tests.support.registry import LAYER, Registry
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference
from wharfie.types.registry import Credential

MakeClient = Callable[..., Client]

QUICK = Policy(backoff_first_s=0.001, backoff_max_s=0.01, upload_chunk_bytes=256 * 1024)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for everybody; each test has a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    return "test/" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


@pytest.fixture
def proxy(server: Registry) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def client() -> Iterator[MakeClient]:
    """Makes clients; nobody's environment has a say."""
    with ExitStack() as stack:

        def made(
            credentials: dict[str, Credential] | None = None, *, hosts_dir: Path | str = "", **more: Any
        ) -> Client:
            more = {"policy": QUICK, "environment": {}, **more}
            return stack.enter_context(Client(str(hosts_dir), credentials or {}, "wharfie/test", **more))

        yield made


class Source:
    """Opens streams of bytes and knows whether all of them were closed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.opened: list[BinaryIO] = []

    def __call__(self, offset: int) -> BinaryIO:
        stream = io.BytesIO(self.data[offset:])
        self.opened.append(stream)
        return stream

    @property
    def closed(self) -> bool:
        return all(stream.closed for stream in self.opened)


def layer(data: bytes, *, algorithm: str = "sha256") -> Descriptor:
    digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    return Descriptor(media_type=LAYER, digest=digest, size=len(data))


def reference(host: str, repository: str, tag: str = "latest", digest: str = "") -> Reference:
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def read_all(client: Client, ref: Reference, descriptor: Descriptor, *part: int, buffer_bytes: int = 65536) -> bytes:
    buffer = bytearray(buffer_bytes)
    found = bytearray()
    with client.fetch(ref, descriptor, *part) as reader:
        while count := reader.readinto(buffer):
            found += buffer[:count]
    return bytes(found)
