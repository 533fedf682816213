"""Containers, images and leases through the API: create, get and list with 1,000 and with 10,000 of them there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import wharfie
from bench.containerdapi import Api
from bench.daemons import Containerd, Wharfied
from bench.figure import Figure, in_turn, medians
from wharfie.types import containers
from wharfie.types.base import Descriptor

STEPS = (1000, 10_000)
ROUNDS = 300
SPEC = {"ociVersion": "1.0.2", "process": {"args": ["true"], "cwd": "/"}}
DIGEST = "sha256:" + "a" * 64
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def measure(ours: Wharfied, theirs: Containerd) -> list[Figure]:
    api = Api(theirs.address, "records")
    figures: list[Figure] = []
    with wharfie.connect(ours.address, namespace="records", timeout_s=120) as client:
        for noun, (own, peer) in {
            "containers": (_containers(client), _their_containers(api)),
            "images": (_images(client), _their_images(api)),
            "leases": (_leases(client), _their_leases(api)),
        }.items():
            figures += _noun(noun, own, peer)
    api.close()
    return figures


Side = dict[str, Callable[..., Any]]


def _noun(noun: str, own: Side, peer: Side) -> list[Figure]:
    figures: list[Figure] = []
    there = 0
    for step in STEPS:
        while there < step - ROUNDS:
            own["create"](f"n{there}")
            peer["create"](f"n{there}")
            there += 1
        counts = {"own": there, "peer": there}

        def create(side: Side, who: str, counts: dict[str, int] = counts) -> None:
            side["create"](f"n{counts[who]}")
            counts[who] += 1

        def get(side: Side, who: str, counts: dict[str, int] = counts) -> None:
            counts[who] -= 1
            side["get"](f"n{counts[who]}")

        for verb, rounds, do in (("create", ROUNDS, create), ("get", ROUNDS, get), ("list", 10, None)):
            if verb not in own or (verb == "get" and "get" not in peer):
                continue
            if do is None:
                turns = {"ours": own[verb], "theirs": peer[verb]}
            else:
                turns = {"ours": partial(do, own, "own"), "theirs": partial(do, peer, "peer")}
            middle = medians(in_turn(rounds, **turns))
            unit, factor = ("ms", 1) if verb == "list" else ("µs", 1000)
            figures.append(
                Figure(
                    name=f"{noun}: {verb}, {step:,} there",
                    ours=middle["ours"] * factor,
                    unit=unit,
                    peer=middle["theirs"] * factor,
                    limit=1.0,
                )
            )
        there = step
    return figures


def _containers(client: wharfie.Client) -> Side:
    def create(name: str) -> None:
        client.containers.create_record(containers.Container(id=name, image="bench", spec=SPEC))

    return {"create": create, "get": client.containers.get, "list": client.containers.list}


def _their_containers(api: Api) -> Side:
    def create(name: str) -> None:
        container = api.container(name, SPEC)
        container.snapshot_key = container.snapshotter = ""
        api.ask("containers", "Create", "CreateContainerRequest", container=container)

    return {
        "create": create,
        "get": lambda name: api.ask("containers", "Get", "GetContainerRequest", id=name),
        "list": lambda: api.ask("containers", "List", "ListContainersRequest").containers,
    }


def _images(client: wharfie.Client) -> Side:
    target = Descriptor(media_type=MEDIA_TYPE, digest=DIGEST, size=1)

    def create(name: str) -> None:
        client.images.create(name, target)

    return {"create": create, "get": client.images.get, "list": client.images.list}


def _their_images(api: Api) -> Side:
    pb = api.pb["images"]
    target = {"media_type": MEDIA_TYPE, "digest": DIGEST, "size": 1}

    def create(name: str) -> None:
        api.ask("images", "Create", "CreateImageRequest", image=pb.Image(name=name, target=target))

    return {
        "create": create,
        "get": lambda name: api.ask("images", "Get", "GetImageRequest", name=name),
        "list": lambda: api.ask("images", "List", "ListImagesRequest").images,
    }


def _leases(client: wharfie.Client) -> Side:
    return {"create": client.leases.create, "get": client.leases.get, "list": client.leases.list}


def _their_leases(api: Api) -> Side:
    return {
        "create": lambda name: api.ask("leases", "Create", "CreateRequest", id=name),
        "list": lambda: api.ask("leases", "List", "ListRequest").leases,
    }
