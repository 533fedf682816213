"""Pulls from a real registry on loopback: beside `ctr image pull`, and what memory a large layer takes."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import wharfie
from bench import images
from bench.daemons import QUIET, Containerd, Wharfied
from bench.figure import Figure, in_turn, medians
from bench.processes import descendants, pss_mib
from tests.support.registry import Registry

ROUNDS = 3
LARGE_LAYER = "1G"
MEMORY_MIB = 64
SAMPLE_S = 0.02


def measure(ours: Wharfied, theirs: Containerd, directory: str) -> list[Figure]:
    storage = Path(f"{directory}/registry")
    storage.mkdir()
    with Registry(storage) as registry:
        return [_pull(ours, theirs, registry, directory), _memory(ours, registry, directory)]


def _push(registry: Registry, directory: str, name: str, *arguments: str) -> str:
    """Make an image and put it into the registry, by skopeo; its reference."""
    reference = f"{registry.host}/{name}:latest"
    archive = images.make(f"{directory}/{name}.tar", *arguments)
    subprocess.run(
        ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{reference}"],
        check=True,
        stdout=QUIET,
    )
    Path(archive).unlink()
    return reference


def _pull(ours: Wharfied, theirs: Containerd, registry: Registry, directory: str) -> Figure:
    reference = _push(registry, directory, "pulled", "--files", "10000", "--bytes", "200M", "--layers", "1")

    def pull_ours() -> None:
        subprocess.run(ours.cli("pull", reference), check=True, stdout=QUIET, stderr=QUIET)

    def pull_theirs() -> None:
        subprocess.run(theirs.ctr("image", "pull", "--plain-http", reference), check=True, stdout=QUIET, stderr=QUIET)

    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, values in in_turn(1, ours=pull_ours, theirs=pull_theirs).items():
            times[name] += values
        _forget(ours, theirs, reference)
    middle = medians(times)
    return Figure(
        name="pull with unpacking from a loopback registry, 200 MB, 10,000 files, 1 layer",
        ours=middle["ours"] / 1000,
        unit="s",
        peer=middle["theirs"] / 1000,
        peer_name="ctr image pull",
        limit=0.35,
    )


def _memory(ours: Wharfied, registry: Registry, directory: str) -> Figure:
    reference = _push(registry, directory, "large", "--files", "200", "--bytes", LARGE_LAYER, "--layers", "1")
    before = _all_pss(ours)
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_S):
            peak = max(peak, _all_pss(ours))

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    with wharfie.connect(ours.address) as client:
        client.images.pull(reference)
        took_s = time.perf_counter() - start
        done.set()
        thread.join()
        client.images.delete(reference, sync=True)
    return Figure(
        name="memory of a pull of a layer of 1 GB, above idle (Pss of all processes, the highest of many samples)",
        ours=peak - before,
        unit="MiB",
        limit=MEMORY_MIB,
        floor=f"in {took_s:.1f} s",
    )


def _all_pss(ours: Wharfied) -> float:
    return sum(pss_mib(pid) for pid in descendants(ours.pid))


def _forget(ours: Wharfied, theirs: Containerd, reference: str) -> None:
    with wharfie.connect(ours.address) as client:
        client.images.delete(reference, sync=True)
    subprocess.run(theirs.ctr("image", "rm", "--sync", reference), check=True, stdout=QUIET)
