"""Versions of the schema: from nothing, from an older one, from a newer one, and through a failure."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator

import msgspec
import pytest

from actors.metadata import schema
from actors.metadata.database import open_database
from actors.metadata.references import Kind as Node
from actors.metadata.references import node_of
from tests.support.metadata import open_services
from wharfie import protocol
from wharfie.errors import DataLoss, FailedPrecondition, Unavailable
from wharfie.types import containers, images, snapshots
from wharfie.types.base import Descriptor
from wharfie.types.content import Info
from wharfie.types.leases import Lease
from wharfie.types.snapshots import Kind


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


def add_note(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE images ADD COLUMN note TEXT NOT NULL DEFAULT ''")


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE half (x)")
    connection.execute("this is no SQL")


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_empty_file_becomes_the_newest_version_with_an_id_of_its_own(connection: sqlite3.Connection) -> None:
    assert schema.migrate(connection) == 0
    assert schema.version_of(connection) == schema.VERSION
    (uuid,) = connection.execute("SELECT uuid FROM meta").fetchone()
    assert len(uuid) == 36
    assert schema.migrate(connection) == schema.VERSION
    assert connection.execute("SELECT uuid FROM meta").fetchone() == (uuid,)


def test_an_older_database_is_migrated_and_keeps_its_rows(connection: sqlite3.Connection) -> None:
    schema.migrate(connection)
    connection.execute("INSERT INTO images(namespace, name, digest, record) VALUES ('ci', 'a', 'd', x'80')")
    assert schema.migrate(connection, (*schema.MIGRATIONS, add_note)) == schema.VERSION
    assert schema.version_of(connection) == schema.VERSION + 1
    assert connection.execute("SELECT name, note FROM images").fetchall() == [("a", "")]


def test_a_failing_step_leaves_the_database_as_it_was(connection: sqlite3.Connection) -> None:
    schema.migrate(connection)
    before = tables(connection)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, (*schema.MIGRATIONS, add_note, fail))
    assert schema.version_of(connection) == schema.VERSION
    assert tables(connection) == before
    assert "note" not in [row[1] for row in connection.execute("PRAGMA table_info(images)")]


def test_a_newer_database_is_refused_untouched(directory: str) -> None:
    path = f"{directory}/metadata.db"
    with open_database(path) as connection:
        connection.execute("UPDATE meta SET version = 99")
    connection.close()
    before = os.stat(path).st_mtime_ns
    with pytest.raises(FailedPrecondition) as caught:
        open_database(path)
    assert caught.value.details == {"found": 99, "known": schema.VERSION}
    assert os.stat(path).st_mtime_ns == before


def test_a_file_that_is_no_database_is_told_and_kept(directory: str) -> None:
    path = f"{directory}/metadata.db"
    with open(path, "wb") as file:
        file.write(b"precious" * 1000)
    with pytest.raises(DataLoss) as caught:
        open_database(path)
    assert not caught.value.retryable
    assert os.path.getsize(path) == 8000


def test_a_second_process_on_the_database_is_told_so(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.metadata.database.BUSY_TIMEOUT_MS", 1)
    path = f"{directory}/metadata.db"
    first = open_database(path)
    try:
        with pytest.raises(Unavailable, match="another process"):
            open_database(path)
    finally:
        first.close()


def test_what_was_stored_is_there_after_opening_again_and_only_root_can_read_it(directory: str) -> None:
    record = containers.Container(id="c1", spec={"a": [1, {"b": None}]})
    with open_services(directory) as services:
        made = services.call("containers.create", containers.Create(container=record), containers.Container)
    with open_services(directory) as services:
        assert services.call("containers.get", containers.Get(id="c1"), containers.Container) == made
    assert os.stat(f"{directory}/root/metadata.db").st_mode & 0o777 == 0o600


def test_what_was_there_before_the_collector_is_held_for_a_day_and_refers_as_its_labels_say(
    connection: sqlite3.Connection,
) -> None:
    schema.migrate(connection, schema.MIGRATIONS[:1])
    digest = "sha256:" + "a" * 64
    blob = protocol.encode(Info(digest=digest, size=1, labels={"containerd.io/gc.ref.content.x": "other"}))
    connection.execute("INSERT INTO blobs VALUES (7, 'ci', ?, 1, ?)", (digest, blob))
    snapshot = protocol.encode(snapshots.Info(name="k", kind=Kind.ACTIVE, snapshotter="native"))
    connection.execute(
        "INSERT INTO snapshots(number, namespace, snapshotter, name, kind, record) VALUES (3, 'ci', 'native', 'k', 'a', ?)",
        (snapshot,),
    )
    container = containers.Container(id="c", spec={"x": 1}, snapshotter="native", snapshot_key="k")
    connection.execute("INSERT INTO containers VALUES (5, 'ci', 'c', ?, x'80', x'80')", (protocol.encode(container),))
    expire = {"containerd.io/gc.expire": "1970-01-01T00:00:01Z"}
    target = Descriptor(media_type="a/b", digest=digest, size=1)
    for name, labels in (("i", expire), ("j", {})):
        image = protocol.encode(images.Image(name=name, target=target, labels=labels))
        connection.execute(
            "INSERT INTO images(namespace, name, digest, record) VALUES ('ci', ?, ?, ?)", (name, digest, image)
        )
    before_ns = time.time_ns()
    assert schema.migrate(connection) == 1
    assert connection.execute("SELECT * FROM refs ORDER BY node").fetchall() == [
        (node_of(Node.CONTAINER, 5), 0, "snapshots/native", "k"),
        (node_of(Node.BLOB, 7), 0, "content", "other"),
    ]
    assert connection.execute("SELECT name, expires_ns FROM images ORDER BY name").fetchall() == [
        ("i", 10**9),
        ("j", None),
    ]
    held = connection.execute(
        "SELECT type, lease_resources.id FROM lease_resources JOIN leases ON lease = number"
    ).fetchall()
    assert held == [("content", digest), ("snapshots/native", "k")]
    namespace, expires_ns, record = connection.execute("SELECT namespace, expires_ns, record FROM leases").fetchone()
    assert namespace == "ci"
    assert expires_ns - before_ns >= schema.UPGRADE_KEEP_NS
    assert msgspec.msgpack.decode(record, type=Lease).id == schema.UPGRADE_LEASE
