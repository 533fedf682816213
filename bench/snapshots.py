"""Snapshots through the API: each call, with a thousand snapshots there."""

from __future__ import annotations

import wharfie
from bench.containerdapi import Api
from bench.daemons import Containerd, Wharfied
from bench.figure import Figure, in_turn, medians

MANY = 1000
ROUNDS = 300
LIMIT = 1.1
ROOT_LABEL = {"containerd.io/gc.root": "bench"}


def measure(ours: Wharfied, theirs: Containerd) -> list[Figure]:
    api = Api(theirs.address, "snapshots")
    with wharfie.connect(ours.address, namespace="snapshots") as client:
        own = _Own(client)
        peer = _Peer(api)
        for side in (own, peer):
            for number in range(MANY):
                side.prepare(f"standing-{number}")
            side.prepare("base-active")
            side.commit("base", "base-active")
        figures = []
        for name in ("prepare", "stat", "mounts", "commit", "remove"):
            counts = {"own": 0, "peer": 0}

            def one(side: _Own | _Peer, who: str, name: str = name, counts: dict[str, int] = counts) -> None:
                counts[who] += 1
                number = counts[who]
                if name == "prepare":
                    side.prepare(f"k{number}", "base")
                elif name == "commit":
                    side.commit(f"c{number}", f"k{number}")
                elif name == "remove":
                    side.remove(f"c{number}")
                else:
                    getattr(side, name)(f"standing-{number}")

            middle = medians(in_turn(ROUNDS, ours=lambda: one(own, "own"), theirs=lambda: one(peer, "peer")))
            figures.append(
                Figure(
                    name=f"snapshots: {name}, {MANY:,} there",
                    ours=middle["ours"] * 1000,
                    unit="µs",
                    peer=middle["theirs"] * 1000,
                    limit=LIMIT,
                )
            )
        middle = medians(in_turn(10, ours=own.list, theirs=peer.list))
        figures.append(
            Figure(
                name=f"snapshots: list of {MANY:,}",
                ours=middle["ours"],
                unit="ms",
                peer=middle["theirs"],
                limit=LIMIT,
            )
        )
        for side in (own, peer):
            for number in range(MANY):
                side.remove(f"standing-{number}")
            side.remove("base")
    api.close()
    return figures


class _Own:
    def __init__(self, client: wharfie.Client) -> None:
        self._snapshots = client.snapshots

    def prepare(self, key: str, parent: str = "") -> None:
        self._snapshots.prepare(key, parent, labels=ROOT_LABEL)

    def commit(self, name: str, key: str) -> None:
        self._snapshots.commit(name, key, labels=ROOT_LABEL)

    def remove(self, key: str) -> None:
        self._snapshots.remove(key)

    def stat(self, key: str) -> None:
        self._snapshots.stat(key)

    def mounts(self, key: str) -> None:
        self._snapshots.mounts(key)

    def list(self) -> None:
        assert len(self._snapshots.list()) >= MANY


class _Peer:
    def __init__(self, api: Api) -> None:
        self._api = api

    def _ask(self, method: str, request: str, **fields: object) -> object:
        return self._api.ask("snapshots", method, request, snapshotter="overlayfs", **fields)

    def prepare(self, key: str, parent: str = "") -> None:
        self._ask("Prepare", "PrepareSnapshotRequest", key=key, parent=parent, labels=ROOT_LABEL)

    def commit(self, name: str, key: str) -> None:
        self._ask("Commit", "CommitSnapshotRequest", name=name, key=key, labels=ROOT_LABEL)

    def remove(self, key: str) -> None:
        self._ask("Remove", "RemoveSnapshotRequest", key=key)

    def stat(self, key: str) -> None:
        self._ask("Stat", "StatSnapshotRequest", key=key)

    def mounts(self, key: str) -> None:
        self._ask("Mounts", "MountsRequest", key=key)

    def list(self) -> None:
        found = 0
        for answer in self._ask("List", "ListSnapshotsRequest"):  # type: ignore[attr-defined]
            found += len(answer.info)
        assert found >= MANY
