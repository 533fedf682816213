"""Memory: proportional set sizes, idle and with fifty containers."""

from __future__ import annotations

import time
import uuid

import wharfie
from bench.containerdapi import Api
from bench.daemons import Containerd, Wharfied
from bench.figure import Figure
from bench.lives import plain_spec
from bench.processes import descendants, named, procname, pss_mib

COUNT = 50


def idle(ours: Wharfied, theirs: Containerd) -> list[Figure]:
    return [
        Figure(
            name="Pss of all daemon processes, idle",
            ours=sum(pss_mib(pid) for pid in descendants(ours.pid)),
            unit="MiB",
            peer=pss_mib(theirs.pid),
            limit=2.5,
        )
    ]


def at_fifty(ours: Wharfied, theirs: Containerd, parent: str) -> list[Figure]:
    api = Api(theirs.address)
    with wharfie.connect(ours.address) as client:
        config = client.images.config("bench:latest")
        containers = []
        for _ in range(COUNT):
            container = client.containers.create_from("bench:latest", config, ["sleep", "600"])
            container.start()
            containers.append(container)
        time.sleep(2)
        shims = [task.shim_pid for task in client.tasks.list()]
        assert all(procname(pid) == "wharfie-shim" for pid in shims)
        our_shim = sum(pss_mib(pid) for pid in shims) / len(shims)
        assert len(shims) == COUNT, len(shims)
        for container in containers:
            container.delete(force=True)
        ids = [uuid.uuid4().hex for _ in range(COUNT)]
        for id_ in ids:
            api.begin(id_, parent, plain_spec(id_, ("sleep", "600")))
        time.sleep(2)
        theirs_shims = named("containerd-shim-runc-v2")
        their_shim = sum(pss_mib(pid) for pid in theirs_shims) / len(theirs_shims)
        for id_ in ids:
            api.kill(id_)
            api.finish(id_)
    api.close()
    return [
        Figure(
            name=f"Pss of a shim, at {COUNT} containers",
            ours=our_shim,
            unit="MiB",
            peer=their_shim,
            peer_name=f"containerd-shim, {len(theirs_shims)} of them",
            limit=0.75,
        )
    ]
