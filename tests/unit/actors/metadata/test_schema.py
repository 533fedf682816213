"""Versions of the schema: from nothing, from an older one, from a newer one, and through a failure."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

import pytest

from actors.metadata import schema
from actors.metadata.database import open_database
from tests.support.metadata import open_services
from wharfie.errors import DataLoss, FailedPrecondition, Unavailable
from wharfie.types import containers


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
