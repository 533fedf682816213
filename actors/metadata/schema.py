"""The tables, and how a database of an older version becomes one of this version.

A migration is a function of a connection inside a transaction: version n is what the n-th migration leaves. A
database is only ever migrated forward, all steps in one transaction; a newer one than this code knows is refused
untouched.

A row keeps its object as `record`: the msgpack map that goes over the wire, so that answering is copying. The other
columns are what is looked up by. Times are nanoseconds since the epoch.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable

import msgspec

from actors.metadata.references import SNAPSHOTS, Kind, Reference, Relation, expires_ns, node_of, references, rfc3339
from wharfie import protocol
from wharfie.errors import FailedPrecondition
from wharfie.types.leases import EXPIRE_LABEL, Lease

Migration = Callable[[sqlite3.Connection], None]


def _first(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_1.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO meta(one, version, uuid) VALUES (1, 1, ?)", (str(uuid.uuid4()),))


# Spec and extensions stand last: a row is read from the front, and a list without specs never touches their pages.
# AUTOINCREMENT: a snapshot's number names a directory and an event's number a subscriber's place; neither comes twice.
_VERSION_1 = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    uuid TEXT NOT NULL
);
CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE containers (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    record BLOB NOT NULL,
    spec BLOB NOT NULL,
    extensions BLOB NOT NULL,
    UNIQUE (namespace, id)
);
CREATE TABLE images (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (namespace, name)
);
CREATE TABLE blobs (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (namespace, digest)
);
CREATE INDEX blobs_digest ON blobs (digest);
CREATE TABLE snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    snapshotter TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent INTEGER REFERENCES snapshots (number),
    size INTEGER NOT NULL DEFAULT -1,
    inodes INTEGER NOT NULL DEFAULT -1,
    record BLOB NOT NULL,
    UNIQUE (namespace, snapshotter, name)
);
CREATE INDEX snapshots_parent ON snapshots (parent) WHERE parent IS NOT NULL;
CREATE INDEX snapshots_snapshotter ON snapshots (snapshotter);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    stored_at_ns INTEGER NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    topic TEXT NOT NULL,
    event BLOB NOT NULL
);
CREATE TABLE forwarded (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    stored_at_ns INTEGER NOT NULL
);
CREATE TABLE replies (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    method TEXT NOT NULL,
    namespace TEXT NOT NULL,
    is_error INTEGER NOT NULL,
    stored_at_ns INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL,
    reply BLOB NOT NULL,
    UNIQUE (key, method, namespace)
)
"""

# A node is a row of any table, see `references`. Roots and back references are looked for from the other end.
# AUTOINCREMENT: what a deleted lease held is deleted after it, by number.
_VERSION_2 = """
CREATE TABLE leases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_ns INTEGER,
    is_flat INTEGER NOT NULL DEFAULT 0,
    is_default INTEGER NOT NULL DEFAULT 0,
    record BLOB NOT NULL,
    UNIQUE (namespace, id)
);
CREATE INDEX leases_expiry ON leases (expires_ns) WHERE expires_ns IS NOT NULL;
CREATE INDEX leases_default ON leases (namespace) WHERE is_default;
CREATE TABLE lease_resources (
    lease INTEGER NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (lease, type, id)
) WITHOUT ROWID;
CREATE INDEX lease_ingests ON lease_resources (id) WHERE type = 'ingests';
CREATE TABLE refs (
    node INTEGER NOT NULL,
    relation INTEGER NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (node, relation, type, name)
) WITHOUT ROWID;
CREATE INDEX refs_roots ON refs (node) WHERE relation = 1;
CREATE INDEX refs_back ON refs (type, name) WHERE relation = 2;
ALTER TABLE images ADD COLUMN expires_ns INTEGER;
CREATE INDEX images_expiry ON images (expires_ns) WHERE expires_ns IS NOT NULL
"""

UPGRADE_LEASE = "before-garbage-collection"
UPGRADE_KEEP_NS = 24 * 3600 * 10**9
"""What was there before there was a collector is held for a day, so that its owners can name it."""


class _Row(msgspec.Struct):
    """What the second version reads of any record of the first."""

    labels: dict[str, str] = {}
    snapshotter: str = ""
    snapshot_key: str = ""


def _second(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_2.split(";"):
        connection.execute(statement)
    decode = msgspec.msgpack.Decoder(_Row).decode
    tables = {"blobs": Kind.BLOB, "snapshots": Kind.SNAPSHOT, "images": Kind.IMAGE, "containers": Kind.CONTAINER}
    for table, kind in tables.items():
        for number, record in connection.execute(f"SELECT number, record FROM {table}").fetchall():  # noqa: S608 - of four
            row = decode(record)
            found = set(references(row.labels))
            if row.snapshot_key:
                found.add(Reference(Relation.FORWARD, f"{SNAPSHOTS}{row.snapshotter}", row.snapshot_key))
            for relation, target, name in found:
                entry = (node_of(kind, number), int(relation), target, name)
                connection.execute("INSERT INTO refs VALUES (?, ?, ?, ?)", entry)
            if kind is Kind.IMAGE:
                at_ns = expires_ns(row.labels)
                connection.execute("UPDATE images SET expires_ns = ? WHERE number = ?", (at_ns, number))
    _hold_all(connection)


def _hold_all(connection: sqlite3.Connection) -> None:
    """Hold every blob and snapshot for a while."""
    now_ns = time.time_ns()
    until_ns = now_ns + UPGRADE_KEEP_NS
    labels = {EXPIRE_LABEL: rfc3339(until_ns)}
    record = protocol.encode(Lease(id=UPGRADE_LEASE, labels=labels, created_at_ns=now_ns, updated_at_ns=now_ns))
    for (namespace,) in connection.execute(
        "SELECT namespace FROM blobs UNION SELECT namespace FROM snapshots"
    ).fetchall():
        lease = connection.execute(
            "INSERT INTO leases(namespace, id, expires_ns, record) VALUES (?, ?, ?, ?)",
            (namespace, UPGRADE_LEASE, until_ns, record),
        ).lastrowid
        connection.execute(
            "INSERT INTO lease_resources SELECT ?, 'content', digest FROM blobs WHERE namespace = ?", (lease, namespace)
        )
        connection.execute(
            "INSERT INTO lease_resources"
            " SELECT ?, 'snapshots/' || snapshotter, name FROM snapshots WHERE namespace = ?",
            (lease, namespace),
        )


MIGRATIONS: tuple[Migration, ...] = (_first, _second)
"""The n-th entry (from 1) leads from version n - 1 to version n; version 0 is an empty file."""

VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 when nothing is in it."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return 0
    return int(connection.execute("SELECT version FROM meta").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> int:
    """Bring a database to the newest version; all or nothing, and a no-op when it is there. Returns the old version.

    Raises:
        FailedPrecondition: it was written by a newer daemon; nothing was touched.
        sqlite3.Error: a step failed; the database is as it was.
    """
    found = version_of(connection)
    newest = len(migrations)
    if found > newest:
        raise FailedPrecondition(
            f"database has schema version {found} and this daemon knows up to {newest};"
            " start the newer daemon that wrote it, or give another root",
            details={"found": found, "known": newest},
        )
    if found == newest:
        return found
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[found:]:
            step(connection)
        connection.execute("UPDATE meta SET version = ?", (newest,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return found
