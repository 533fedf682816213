"""Kill -9 of the process that comes by, at each named step of import, run, exec, stop and remove; then the state compared.

Every failpoint of the source is in the matrix: one that no scenario reaches fails its case. What is promised: one answer to each
call, the right one unless the shim itself was killed; nothing lost; after removal nothing left, in no table, on no disk and
not in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import wharfie
from tests.support import busybox, inventory
from tests.support.daemon import Daemon
from tests.support.failpoints import Failpoints, all_names
from tests.support.wait import until

NAME = "busybox:latest"
NAMESPACE = "faults"
ELSEWHERE = {
    # Only a prepare that fails comes by: tests/system/storage/test_snapshot_crash.py.
    "snapshot.prepare.taken-back",
    # Export and conversion: tests/system/transfer/test_export_crash.py.
    *(name for name in all_names() if name.startswith(("transfer.export.", "transfer.convert."))),
    "transfer.job.recompress",
    # Pull and push: tests/system/transfer/test_pull_crash.py.
    *(name for name in all_names() if name.startswith(("transfer.pull.", "transfer.push.", "transfer.fetch."))),
    "transfer.job.fetch",
    # Images of layers: tests/system/transfer/test_erofs_crash.py.
    *(name for name in all_names() if name.startswith("erofs.")),
}
NAMES = sorted(set(all_names()) - ELSEWHERE)
SHIM = [name for name in NAMES if name.startswith("shim.")]
OTHERS = [name for name in NAMES if not name.startswith("shim.")]


class Rig:
    """A daemon with failpoints, a client, and the image's archive."""

    def __init__(self, daemon: Daemon, points: Failpoints, client: wharfie.Client, archive: str) -> None:
        self.daemon = daemon
        self.points = points
        self.client = client
        self.archive = archive

    # -- the scenario, in five steps ----------------------------------------------------------------------------------

    def import_image(self) -> None:
        images = self.client.images.import_(self.archive)
        assert [image.name for image in images] == [NAME]
        assert self.client.images.config(NAME).os == "linux"

    def run(self) -> tuple[int, bytes]:
        done = self.client.run(NAME, ["sh", "-c", "echo out; exit 3"], timeout_s=60)
        return done.exit_code, done.stdout

    def live_and_exec(self) -> tuple[int, bytes, int]:
        container = self.client.containers.create(NAME, ["sleep", "600"], id="long")
        container.start()
        answer = container.exec(["sh", "-c", "echo in; exit 4"])
        container.task.kill("KILL")
        status = container.task.wait(timeout_s=30).exit_status
        container.delete()
        return answer.exit_code, answer.stdout, status

    def commit(self) -> None:
        container = self.client.containers.create(NAME, ["true"], id="changed")
        (mount,) = self.client.snapshots.mounts("changed")
        (upper,) = (option for option in mount.options if option.startswith("upperdir="))
        with open(f"{upper.removeprefix('upperdir=')}/new", "wb") as file:
            file.write(b"of the container")
        assert [(change.kind, change.path) for change in container.diff()] == [("A", "/new")]
        image = container.commit("mine:1", message="it").image
        container.delete()
        assert image.target == self.client.images.get("mine:1").target
        assert self.client.run("mine:1", ["cat", "new"], timeout_s=60).stdout == b"of the container"

    def ingest_and_abort(self) -> None:
        content = self.client.content
        info = content.ingest(b"a blob of a client")
        assert content.read(info.digest) == b"a blob of a client"
        # With a ref it is an ingest, without one it is put in one call.
        content.delete(content.ingest(b"a blob with a ref", ref="whole").digest)
        content.write("half", b"half of it")
        content.abort("half")
        content.delete(info.digest)

    def collect(self) -> None:
        """Garbage with children, held by one lease that is given up: gone when that is answered, bytes and all."""
        client = self.client
        lease = client.leases.create()
        leased = client.with_lease(lease.id)
        child = leased.content.ingest(b"garbage").digest
        parent = leased.content.ingest(b"more", labels={"containerd.io/gc.ref.content.child": child}).digest
        leased.snapshots.prepare("garbage")
        leased.content.write("garbage", b"half of it")
        kept = client.content.ingest(b"kept", labels={"containerd.io/gc.root": "yes"}).digest
        client.leases.delete(lease.id, sync=True)
        left = inventory.of(client)
        assert not {child, parent} & {*left["blobs"]}
        assert kept in left["blobs"]
        assert "garbage" not in left["snapshots"]
        client.gc.run()
        assert client.content.read(kept) == b"kept"
        until(lambda: not client.content.statuses())

    def remove_everything(self) -> None:
        inventory.clear(self.client)

    def is_empty(self) -> None:
        until(lambda: not any(inventory.of(self.client).values()))
        inventory.nothing_on_disk(self.daemon.root, self.daemon.state, namespace=NAMESPACE)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="faults-", dir="/dev/shm") as directory:
        points = Failpoints(f"{directory}/points")
        archive = busybox.archive(f"{directory}/busybox.tar")
        config = "[supervisor]\nintensity = 100000\n"
        with (
            Daemon(config=config, environment=points.environment) as daemon,
            wharfie.connect(str(daemon.address), namespace=NAMESPACE, timeout_s=30) as client,
        ):
            yield Rig(daemon, points, client, archive)


@pytest.fixture(autouse=True)
def clean(rig: Rig) -> Iterator[None]:
    yield
    for name in NAMES:
        rig.points.disarm(name)
    rig.remove_everything()


def test_the_scenario_holds_without_any_fault(rig: Rig) -> None:
    rig.import_image()
    assert rig.run() == (3, b"out\n")
    assert rig.live_and_exec() == (4, b"in\n", 137)
    rig.commit()
    rig.ingest_and_abort()
    rig.collect()
    rig.remove_everything()
    rig.is_empty()


@pytest.mark.parametrize("name", OTHERS)
def test_a_worker_killed_at_a_named_step_changes_no_answer_and_leaves_nothing(rig: Rig, name: str) -> None:
    rig.points.arm(name)
    rig.import_image()
    assert rig.run() == (3, b"out\n")
    assert rig.live_and_exec() == (4, b"in\n", 137)
    rig.commit()
    rig.ingest_and_abort()
    rig.collect()
    rig.remove_everything()
    assert rig.points.was_hit(name), "no step of the scenario comes by here"
    rig.is_empty()


@pytest.mark.parametrize("name", SHIM)
def test_a_shim_killed_at_a_named_step_is_answered_for_and_leaves_nothing(rig: Rig, name: str) -> None:
    rig.import_image()
    rig.points.arm(name)
    try:
        code, output = rig.run()
        assert code in (3, 137, 255)
        assert output in (b"out\n", b"")
    except wharfie.WharfieError as error:
        assert error.code != "internal", error
    if not rig.points.was_hit(name):
        try:
            rig.live_and_exec()
        except wharfie.WharfieError as error:
            assert error.code != "internal", error
    assert rig.points.was_hit(name), "no step of the scenario comes by here"
    rig.remove_everything()
    rig.is_empty()
    rig.import_image()
    assert rig.run() == (3, b"out\n"), "the next container does not run"
