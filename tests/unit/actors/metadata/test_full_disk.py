"""A disk that is full: a typed error, reads go on, and room can be made."""

from __future__ import annotations

import os

import pytest

from actors.internal import LeaseHold
from linux.mount import mount
from linux.mountoptions import MS_REMOUNT
from tests.support.fork import in_private_mounts
from tests.support.metadata import Services, open_services
from wharfie.errors import AlreadyExists, ResourceExhausted
from wharfie.types import containers, leases
from wharfie.types.base import Empty
from wharfie.types.containers import Container
from wharfie.types.leases import Lease

SIZE = 8 << 20


def create(services: Services, name: str, key: str = "") -> Container:
    request = containers.Create(container=Container(id=name, spec={"x": "y" * 16_000}))
    return services.call("containers.create", request, Container, key=key)


def ids(services: Services) -> list[str]:
    listing = services.call("containers.list", containers.List(without_spec=True), containers.Listing)
    return [container.id for container in listing.containers]


def fill(services: Services) -> list[str]:
    """Create until the disk is full; what was answered."""
    created: list[str] = []
    with pytest.raises(ResourceExhausted) as caught:
        while True:
            name = f"c{len(created):05}"
            create(services, name, key=f"key-{name}")
            created.append(name)
    assert caught.value.details["reason"] == "disk_full"
    assert not caught.value.retryable
    return created


def fill_the_rest(directory: str) -> None:
    with open(f"{directory}/ballast", "wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"\0" * 4096)
        except OSError:
            return


def test_writes_are_refused_typed_reads_go_on_and_nothing_that_was_answered_is_lost(directory: str) -> None:
    def body() -> None:
        mount("tmpfs", directory, fstype="tmpfs", data=f"size={SIZE}")
        with open_services(directory) as services:
            created = fill(services)
            assert len(created) > 20
            assert ids(services) == created
            assert services.call("containers.get", containers.Get(id=created[-1]), Container).id == created[-1]
            # Again, and with nothing left at all.
            fill_the_rest(directory)
            with pytest.raises(ResourceExhausted):
                for n in range(1000):
                    create(services, f"more{n}")
            # A refusal was not remembered as the answer of its key: with room it works.
            os.unlink(f"{directory}/ballast")
            mount("tmpfs", directory, fstype="tmpfs", flags=MS_REMOUNT, data=f"size={2 * SIZE}")
            name = f"c{len(created):05}"
            create(services, name, key=f"key-{name}")
            with pytest.raises(AlreadyExists):
                create(services, name)

    in_private_mounts(body)


def test_a_lease_takes_nothing_in_on_a_full_disk_and_lets_go(directory: str) -> None:
    def body() -> None:
        mount("tmpfs", directory, fstype="tmpfs", data=f"size={SIZE}")
        with open_services(directory) as services:
            services.call("leases.create", leases.Create(id="a"), Lease)
            services.call("metadata.lease_hold", LeaseHold(type="ingests", id="held"), Empty, lease="a")
            fill(services)
            fill_the_rest(directory)
            with pytest.raises(ResourceExhausted):
                services.call("metadata.lease_hold", LeaseHold(type="ingests", id="more"), Empty, lease="a")
            resource = leases.Resource(type="ingests", id="held")
            services.call("leases.delete_resource", leases.DeleteResource(id="a", resource=resource), Empty)
            assert services.call("leases.resources", leases.ListResources(id="a"), leases.Resources).resources == []

    in_private_mounts(body)


def test_a_restart_on_a_full_disk_serves_reads_and_deleting_makes_room(directory: str) -> None:
    def body() -> None:
        mount("tmpfs", directory, fstype="tmpfs", data=f"size={SIZE}")
        with open_services(directory) as services:
            created = fill(services)
        fill_the_rest(directory)
        with open_services(directory) as services:
            assert [name for name in ids(services) if name in created] == created
            for name in created:
                services.call("containers.delete", containers.Delete(id=name), Empty)
            assert not set(created) & set(ids(services))
            create(services, "fits-again")

    in_private_mounts(body)
