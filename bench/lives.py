"""Lives of containers: through the API, and as whole commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from typing import Any

import wharfie
from bench.containerdapi import Api
from bench.daemons import QUIET, Containerd, Wharfied
from bench.figure import Figure, in_turn, medians
from wharfie.oci.image_config import ImageConfig
from wharfie.oci.options import SpecOptions
from wharfie.oci.spec import build_spec

ROUNDS = 40


def plain_spec(id_: str, args: tuple[str, ...] = ("true",)) -> dict[str, Any]:
    """The specification that we run, for containerd too: the same work for the same runtime."""
    spec = build_spec(ImageConfig(), SpecOptions(args=args), container_id=id_, namespace="bench")
    spec["process"]["env"] = ["PATH=/bin:/usr/bin"]
    with open("/proc/self/status") as file:
        bounding = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    from wharfie.oci.capabilities import names_of_mask

    have = set(names_of_mask(bounding))
    spec["process"]["capabilities"] = {
        kind: [name for name in names if name in have] for kind, names in spec["process"]["capabilities"].items()
    }
    return spec


def measure(ours: Wharfied, theirs: Containerd, parent: str, directory: str) -> list[Figure]:
    api = Api(theirs.address)
    bundle = _bundle(directory)
    with wharfie.connect(ours.address) as client:
        config = client.images.config("bench:latest")

        def our_life() -> None:
            container = client.containers.create_from("bench:latest", config, ["true"])
            task = container.create_task()
            task.start()
            assert task.wait().exit_status == 0
            task.delete()
            container.delete()

        def their_life() -> None:
            id_ = uuid.uuid4().hex
            assert api.life(id_, parent, plain_spec(id_)) == 0

        def floor() -> None:
            _runc(bundle, directory)

        for do in (our_life, their_life, floor):
            do()
        middle = medians(in_turn(ROUNDS, ours=our_life, theirs=their_life, runc=floor))
    api.close()
    note = f"runc create + start + delete {middle['runc']:.1f} ms ({middle['ours'] / middle['runc']:.2f} ×)"
    return [
        Figure(
            name="life of `true`: prepare, create, start, wait, delete, remove",
            ours=middle["ours"],
            unit="ms",
            peer=middle["theirs"],
            limit=0.75,
            floor=note,
        )
    ]


def commands(ours: Wharfied, theirs: Containerd) -> list[Figure]:
    """`run --rm … true`, the whole process."""

    def our_run() -> None:
        subprocess.run(ours.cli("run", "--rm", "bench:latest", "true"), check=True, stdout=QUIET)

    def their_run() -> None:
        subprocess.run(
            theirs.ctr("run", "--rm", "docker.io/library/bench:latest", uuid.uuid4().hex, "true"),
            check=True,
            stdout=QUIET,
        )

    our_run()
    their_run()
    middle = medians(in_turn(20, ours=our_run, theirs=their_run))
    return [
        Figure(
            name="`wharfie run --rm … true`",
            ours=middle["ours"],
            unit="ms",
            peer=middle["theirs"],
            peer_name="ctr run",
            limit=1.3,
        )
    ]


def _bundle(directory: str) -> str:
    bundle = f"{directory}/bundle"
    os.makedirs(f"{bundle}/rootfs/bin", exist_ok=True)
    for name in ("proc", "dev", "sys"):
        os.makedirs(f"{bundle}/rootfs/{name}", exist_ok=True)
    shutil.copy("/bin/busybox", f"{bundle}/rootfs/bin/busybox")
    if not os.path.lexists(f"{bundle}/rootfs/bin/true"):
        os.symlink("busybox", f"{bundle}/rootfs/bin/true")
    with open(f"{bundle}/config.json", "w") as file:
        json.dump(plain_spec("floor"), file)
    return bundle


def _runc(bundle: str, directory: str) -> None:
    id_ = uuid.uuid4().hex
    base = ["runc", "--root", f"{directory}/runc"]
    pid_file = f"{directory}/floor.pid"
    subprocess.run(
        [*base, "create", "--bundle", bundle, "--pid-file", pid_file, id_],
        check=True,
        stdin=QUIET,
        stdout=QUIET,
        stderr=QUIET,
    )
    with open(pid_file) as file:
        fd = os.pidfd_open(int(file.read()))
    subprocess.run([*base, "start", id_], check=True)
    import select

    select.select([fd], [], [])
    os.close(fd)
    subprocess.run([*base, "delete", id_], check=True)
