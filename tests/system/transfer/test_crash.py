"""Kill -9 at each named step of an import: it succeeds all the same, and nothing is left over."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from tests.support.archives import Layout, tar
from tests.support.failpoints import all_names
from tests.support.wait import until
from tests.system.transfer.conftest import Rig

OURS = ("transfer.import.", "transfer.unpack.", "transfer.job.read", "transfer.job.unpack")
"""Steps of an import; those of other operations are in other tests."""
POINTS = sorted(name for name in all_names() if name.startswith(OURS))
LAYERS = [tar({f"f{number}": os.urandom(1000)}) for number in range(3)]


def image() -> bytes:
    layout = Layout()
    layout.entry(layout.image(LAYERS), ref="x:1")
    return layout.tar()


def is_whole(rig: Rig) -> None:
    """The image, its blobs and its snapshots are there, and nothing else."""
    assert rig.names() == ["x:1"]
    until(lambda: not [name for name in rig.snapshots() if name.startswith("unpack-")])
    assert len(rig.snapshots()) == len(LAYERS)
    assert rig.client.images.unpack("x:1") in rig.snapshots()
    until(lambda: len(rig.layer_directories()) == len(LAYERS))
    assert len(rig.client.content.list()) == len(LAYERS) + 2
    assert rig.client.content.statuses() == []


def test_the_steps_are_known() -> None:
    assert len(POINTS) == 10


@pytest.mark.parametrize("point", POINTS)
def test_whoever_is_killed_at_a_step_the_import_succeeds(rig: Rig, point: str) -> None:
    rig.points.arm(point)
    (imported,) = rig.client.images.import_(rig.archive(image()), timeout_s=30)
    assert imported.name == "x:1"
    assert rig.points.was_hit(point)
    is_whole(rig)


@pytest.mark.parametrize("point", POINTS)
def test_a_stream_is_imported_whoever_is_killed_at_a_step(rig: Rig, point: str) -> None:
    rig.points.arm(point)
    rig.client.images.import_(io.BytesIO(image()), timeout_s=30)
    assert rig.points.was_hit(point)
    is_whole(rig)


@pytest.mark.parametrize("victim", ["router", "metadata", "content", "snapshot"])
@pytest.mark.parametrize("point", ["transfer.import.after-plan", "transfer.import.after-blobs", "transfer.job.unpack"])
def test_another_process_killed_meanwhile_is_not_noticed(rig: Rig, victim: str, point: str) -> None:
    rig.points.arm(point, "stop")
    actors = rig.actors()
    importing = threading.Thread(target=rig.client.images.import_, args=(rig.archive(image()),))
    importing.start()
    stopped = until(rig.stopped)
    os.kill(actors[victim], signal.SIGKILL)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    importing.join(60)
    assert not importing.is_alive()
    is_whole(rig)


def test_an_import_that_died_after_it_dropped_the_ingest_is_answered_as_done(rig: Rig) -> None:
    # The content worker stands still just after the abort, so transfer has not heard of it when it is killed.
    rig.points.arm("content.abort.renamed", "stop")
    actors = rig.actors()
    answers: list[str] = []
    importing = threading.Thread(
        target=lambda: answers.extend(image_.name for image_ in rig.client.images.import_(io.BytesIO(image())))
    )
    importing.start()
    until(rig.stopped)
    os.kill(actors["transfer"], signal.SIGKILL)
    until(lambda: rig.client.supervisor.get("transfer").actor.pid not in (0, actors["transfer"]))
    os.kill(actors["content"], signal.SIGCONT)
    importing.join(60)
    assert answers == ["x:1"]
    is_whole(rig)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    "point", ["transfer.import.after-plan", "transfer.unpack.after-apply", "transfer.unpack.after-commit"]
)
def test_the_daemon_killed_and_started_again_finishes_the_import(own: Rig, point: str, is_stream: bool) -> None:
    own.points.arm(point, "stop")
    source = io.BytesIO(image()) if is_stream else own.archive(image())
    answers: list[str] = []
    importing = threading.Thread(
        target=lambda: answers.extend(one.name for one in own.client.images.import_(source, timeout_s=40))
    )
    importing.start()
    until(own.stopped)
    own.daemon.kill()
    own.daemon.start()
    importing.join(60)
    assert answers == ["x:1"]
    is_whole(own)
