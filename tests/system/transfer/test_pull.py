"""Pulls from Debian's registry: what is fetched, what is there afterwards, and what is not after an error."""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
from pathlib import Path

import pytest

import wharfie
from tests.support import registry as registries
from tests.support.archives import busybox_tree
from tests.support.faultyproxy import FaultyProxy, cut_after, damaged, stall_after, without_ranges
from tests.support.registry import Registry
from tests.support.remoteimages import Remote, publish
from tests.support.wait import until
from tests.system.transfer.conftest import Rig, started
from wharfie.types.registry import Credential
from wharfie.types.transfer import Progress

SOURCE = "containerd.io/distribution.source."
NOISE = random.Random(7).randbytes(3_000_000)


@pytest.fixture(scope="module")
def big(registry: Registry) -> Remote:
    """A busybox and a layer of noise, 3 MB of it."""
    return publish(registry, "big", "1", busybox_tree(), {"noise": NOISE, "last": b"the end"})


def through(proxy: FaultyProxy, remote: Remote) -> str:
    """The reference of an image, asked for through a proxy."""
    return f"{proxy.host}/{remote.ref.partition('/')[2]}"


def blobs_asked(proxy: FaultyProxy, remote: Remote) -> list[str]:
    """The digests of layers that were asked for, each time."""
    return [
        seen.path.rpartition("/")[2]
        for seen in proxy.seen("GET", "/blobs/")
        for layer in remote.layers
        if seen.path.endswith(layer.digest)
    ]


class Pulling:
    """A pull in a thread, which may stand still."""

    def __init__(self, rig: Rig, ref: str) -> None:
        self.items: list[Progress] = []
        self.outcome: list[object] = []
        self.client = wharfie.connect(str(rig.daemon.address), namespace="ci")
        self._thread = threading.Thread(target=self._run, args=(ref,))
        self._thread.start()

    def _run(self, ref: str) -> None:
        try:
            self.outcome.append(self.client.images.pull(ref, on_progress=self.items.append))
        except wharfie.WharfieError as error:
            self.outcome.append(error)

    def reached(self, event: str, *, done: int = 1) -> bool:
        return any(item.event == event and item.done >= done for item in [*self.items])

    def cancel(self) -> None:
        """Go away in the middle of it."""
        self.client.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def result(self) -> object:
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.client.close()
        return self.outcome[0]


# -- what is there afterwards ------------------------------------------------------------------------------------------


def test_a_pulled_image_runs_and_everything_of_it_is_kept_and_labelled(
    rig: Rig, registry: Registry, big: Remote
) -> None:
    items: list[Progress] = []
    pulled = rig.client.images.pull(big.ref, on_progress=items.append)
    assert pulled.image.name == big.ref
    assert pulled.image.target.digest == big.manifest.digest
    assert pulled.chain_id in rig.snapshots()
    assert pulled.fetched_bytes == sum(put.size for put in (big.manifest, big.config, *big.layers))
    done = rig.client.run(big.ref, ["sh", "-c", "cat last; wc -c < noise"])
    assert (done.exit_code, done.stdout.split()) == (0, [b"the", b"end3000000"])
    for put in (big.manifest, big.config, *big.layers):
        assert rig.client.content.info(put.digest).labels[f"{SOURCE}{registry.host}"] == "big"
    assert not [lease.id for lease in rig.client.leases.list() if "pull" in lease.id]
    events = {item.event for item in items}
    assert {"resolving", "resolved", "downloading", "done", "unpacking", "unpacked", "saved"} <= events
    assert rig.client.gc.run().blobs == 0
    assert rig.client.run(big.ref, ["true"]).exit_code == 0


def test_what_is_there_is_not_fetched_again(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    ref = through(proxy, big)
    first = rig.client.images.pull(ref)
    proxy.forget()
    items: list[Progress] = []
    second = rig.client.images.pull(ref, on_progress=items.append)
    assert (second.fetched_bytes, second.chain_id) == (0, first.chain_id)
    assert proxy.seen("GET") == []
    assert {item.name for item in items if item.event == "exists"} == {layer.digest for layer in big.layers}


def test_a_pull_by_digest_and_under_another_name(rig: Rig, registry: Registry, big: Remote) -> None:
    by_digest = f"{registry.host}/big@{big.manifest.digest}"
    assert rig.client.images.pull(by_digest, unpack=False).image.name == by_digest
    assert rig.client.images.pull(big.ref, name="mine", labels={"a": "b"}, unpack=False).image.labels == {"a": "b"}
    assert rig.names() == sorted([by_digest, "mine"])
    assert rig.snapshots() == []


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native", "erofs"])
def test_every_snapshotter_gets_what_is_pulled(rig: Rig, big: Remote, snapshotter: str) -> None:
    if snapshotter not in rig.snapshotters():
        pytest.skip(f"{snapshotter} does not work in this kernel")
    pulled = rig.client.images.pull(big.ref, snapshotter=snapshotter)
    assert pulled.chain_id in rig.snapshots(snapshotter)
    assert rig.client.run(big.ref, ["cat", "last"], snapshotter=snapshotter).stdout == b"the end"


# -- streaming, interruptions ------------------------------------------------------------------------------------------


def test_a_layer_is_unpacked_while_it_arrives_and_committed_only_when_it_is_whole(
    rig: Rig, proxy: FaultyProxy, big: Remote
) -> None:
    proxy.on("GET", big.layers[1].digest, stall_after(2_000_000))
    pulling = Pulling(rig, through(proxy, big))

    def unpacked_bytes() -> int:
        return sum(path.stat().st_size for path in (rig.daemon.root / "snapshots/overlayfs").glob("*/fs/noise"))

    until(lambda: unpacked_bytes() > 500_000, deadline_s=30)
    assert len([name for name in rig.snapshots() if name.startswith("sha256:")]) <= 1
    assert rig.names() == []
    pulling.cancel()
    until(lambda: not [name for name in rig.snapshots() if name.startswith("unpack-")], deadline_s=30)


def test_a_pull_that_was_broken_off_goes_on_at_the_next_one(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    noise = big.layers[1]
    proxy.on("GET", noise.digest, stall_after(2_000_000))
    pulling = Pulling(rig, through(proxy, big))
    until(lambda: pulling.reached("downloading", done=1_500_000), deadline_s=30)
    pulling.cancel()
    until(lambda: not rig.jobs(), deadline_s=30)
    (left,) = [status for status in rig.client.content.statuses() if noise.digest in status.ref]
    assert left.offset >= 1_500_000
    # Nobody's garbage either, nor is the layer that was complete.
    rig.client.gc.run()
    assert rig.client.content.status(left.ref).offset == left.offset
    proxy.forget()
    pulled = rig.client.images.pull(through(proxy, big))
    (seen,) = proxy.seen("GET", noise.digest)
    assert seen.headers["range"].startswith(f"bytes={left.offset}-")
    assert blobs_asked(proxy, big) == [noise.digest], "the other layer was complete"
    assert rig.client.run(pulled.image.name, ["cat", "last"]).stdout == b"the end"


def test_a_connection_that_breaks_is_gone_on_with(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    for count in (700_000, 10, 900_000):
        proxy.on("GET", big.layers[1].digest, cut_after(count))
    pulled = rig.client.images.pull(through(proxy, big))
    assert len(proxy.seen("GET", big.layers[1].digest)) == 4
    assert rig.client.run(pulled.image.name, ["sh", "-c", "wc -c < noise"]).stdout.split()[0] == b"3000000"


def test_large_blobs_are_fetched_in_parts_at_the_same_time(registry: Registry, proxy: FaultyProxy, big: Remote) -> None:
    config = "[transfer]\nranges = 3\nrange_bytes = 262144\n"
    with started(config) as rig:
        pulled = rig.client.images.pull(through(proxy, big))
        ranges = [seen.headers["range"] for seen in proxy.seen("GET", big.layers[1].digest)]
        assert len(ranges) == -(-big.layers[1].size // 262144)
        assert "bytes=262144-524287" in ranges
        assert rig.client.run(pulled.image.name, ["cat", "last"]).stdout == b"the end"
        rig.clear()
        proxy.on("GET", "/blobs/", without_ranges, times=100)
        pulled = rig.client.images.pull(through(proxy, big))
        assert rig.client.run(pulled.image.name, ["cat", "last"]).stdout == b"the end"
        rig.clear()


def pss_bytes(rig: Rig) -> int:
    """Memory of all processes of the daemon, shared pages counted in proportion."""
    total = 0
    for pid in [rig.daemon.pid, *rig.daemon.descendants()]:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_layer_of_a_gigabyte_takes_no_more_memory_than_a_small_one(own: Rig, registry: Registry) -> None:
    remote = publish(registry, "huge", "1", {f"file-{number}": NOISE * 10 for number in range(34)})
    idle = pss_bytes(own)
    pulling = Pulling(own, remote.ref)
    peak = 0
    while not pulling.outcome:
        peak = max(peak, pss_bytes(own))
    assert isinstance(pulling.result(), wharfie.types.pull.Pulled)
    assert peak - idle <= 64 << 20


# -- bytes that are wrong ----------------------------------------------------------------------------------------------


def test_wrong_bytes_are_refused_and_nothing_of_them_stays(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    proxy.on("GET", big.layers[1].digest, damaged, times=10)
    with pytest.raises(wharfie.DataLoss, match=big.layers[1].digest):
        rig.client.images.pull(through(proxy, big))
    assert rig.names() == []
    assert rig.client.content.statuses() == []
    assert big.layers[1].digest not in {blob.digest for blob in rig.client.content.list()}
    until(lambda: not [name for name in rig.snapshots() if name.startswith("unpack-")], deadline_s=30)
    assert len([name for name in rig.snapshots() if name.startswith("sha256:")]) <= 1


def test_a_wrong_configuration_is_refused_and_named(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    proxy.on("GET", big.config.digest, damaged, times=10)
    with pytest.raises(wharfie.DataLoss, match=big.config.digest) as caught:
        rig.client.images.pull(through(proxy, big))
    assert caught.value.details["host"] == proxy.host
    assert rig.names() == []
    assert big.config.digest not in {blob.digest for blob in rig.client.content.list()}


def test_wrong_bytes_are_fetched_once_more_and_unpacked_anew(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    proxy.on("GET", big.layers[1].digest, damaged)
    pulled = rig.client.images.pull(through(proxy, big))
    assert len(proxy.seen("GET", big.layers[1].digest)) == 2
    assert rig.client.run(pulled.image.name, ["cat", "last"]).stdout == b"the end"


def test_a_layer_with_another_diff_id_fails_the_pull(rig: Rig, registry: Registry) -> None:
    wrong = [f"sha256:{'0' * 64}"]
    remote = publish(registry, "wrong", "1", {"file": NOISE[:400_000]}, diff_ids=wrong)
    with pytest.raises(wharfie.FailedPrecondition, match="diff id"):
        rig.client.images.pull(remote.ref)
    assert rig.names() == []
    until(lambda: rig.snapshots() == [], deadline_s=30)


# -- several at once ---------------------------------------------------------------------------------------------------


def test_pulls_at_the_same_time_fetch_and_unpack_a_layer_once(rig: Rig, proxy: FaultyProxy, big: Remote) -> None:
    proxy.on("GET", big.layers[1].digest, stall_after(1_500_000))
    stalled = Pulling(rig, through(proxy, big))
    until(lambda: stalled.reached("downloading", done=1_000_000), deadline_s=30)
    others = [Pulling(rig, through(proxy, big)) for _ in range(2)]
    for other in others:
        # They see how far the first one is.
        until(lambda other=other: other.reached("downloading", done=1_000_000), deadline_s=30)  # type: ignore[misc]
    assert blobs_asked(proxy, big).count(big.layers[1].digest) == 1
    # The one that fetches goes away; another one goes on.
    stalled.cancel()
    chains = set()
    for other in others:
        result = other.result()
        assert isinstance(result, wharfie.types.pull.Pulled), result
        chains.add(result.chain_id)
    assert len(chains) == 1
    asked = blobs_asked(proxy, big)
    assert asked.count(big.layers[0].digest) == 1
    assert asked.count(big.layers[1].digest) == 2, "once by the first, and the rest by the second"
    resumed = proxy.seen("GET", big.layers[1].digest)[1]
    assert int(resumed.headers["range"].removeprefix("bytes=").partition("-")[0]) >= 1_000_000


# -- who asks ----------------------------------------------------------------------------------------------------------


def test_credentials_reach_the_registry_and_nothing_that_is_written_down(tmp_path: Path, big: Remote) -> None:
    secret = registries.PASSWORD
    with tempfile.TemporaryDirectory(prefix="registry-", dir="/dev/shm") as directory:
        open_one = Registry(Path(directory))
        with open_one:
            remote = publish(open_one, "private", "1")
        with Registry(Path(directory), basic=True) as private, started('[log]\nlevel = "debug"\n') as rig:
            ref = f"{private.host}/private:1"
            with pytest.raises(wharfie.PermissionDenied):
                rig.client.images.pull(ref)
            wrong = Credential(username="wharfie", password="not the pass phrase")
            with pytest.raises(wharfie.PermissionDenied):
                rig.client.images.pull(ref, credentials={private.host: wrong})
            right = Credential(username=registries.USER, password=secret)
            pulled = rig.client.images.pull(ref, credentials={private.host: right})
            assert pulled.image.target.digest == remote.manifest.digest
            rig.client.supervisor.dump()
            for path in [rig.daemon.log_path, *rig.daemon.root.rglob("*"), *rig.daemon.state.rglob("*")]:
                if path.is_file():
                    data = path.read_bytes()
                    assert secret.encode() not in data, path
                    assert b"not the pass phrase" not in data, path
            rig.clear()


def test_a_registry_that_is_not_there_is_an_error_soon(rig: Rig) -> None:
    with pytest.raises(wharfie.Unavailable) as caught:
        rig.client.images.pull("127.0.0.1:1/none:1", attempts=1)
    assert not caught.value.retryable
    with pytest.raises(wharfie.InvalidArgument):
        rig.client.images.pull("localhost/UPPER")


def test_an_image_that_the_registry_does_not_have(rig: Rig, registry: Registry) -> None:
    with pytest.raises(wharfie.NotFound):
        rig.client.images.pull(f"{registry.host}/nothing:1")
