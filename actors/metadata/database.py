"""Opening the database, and its errors as errors of the wire.

The database belongs to one process, so it is locked exclusively: no lock calls per transaction, no shared-memory file
(which a full disk could tear away under the process), and a second daemon's mistake cannot corrupt it.
"""

from __future__ import annotations

import logging
import os
import sqlite3

from actors.metadata.schema import migrate
from wharfie.errors import (
    DataLoss,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    WharfieError,
)

log = logging.getLogger("metadata")

BUSY_TIMEOUT_MS = 5000
"""How long a new incarnation waits for the kernel to release the lock of a dead one."""

STATEMENTS_CACHED = 256

PAGE_BYTES = 4096
"""SQLite's default."""

CHECKPOINT_PAGES = 256
"""The write-ahead log is copied into the database and begun anew after this many pages (1 MiB). Small, because on a
full disk the database has to have room to grow by so much (`reserve`) before anything can be deleted.
"""

FILE_MODE = 0o600


def open_database(path: str) -> sqlite3.Connection:
    """Open (or create) the database, bring its schema up to date and lock it for this process.

    Transactions are begun and committed by hand. The caller closes it; a killed process leaves a database that the
    next open recovers, with everything that was committed.

    Raises:
        FailedPrecondition: a newer daemon wrote it.
        DataLoss: the file is damaged or no database.
        ResourceExhausted: no space for it.
        Unavailable: another process holds it.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, cached_statements=STATEMENTS_CACHED
    )
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise typed(error, path=path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def disk_full(path: str) -> ResourceExhausted:
    """The error for a disk without room."""
    return ResourceExhausted(
        f"no space left for '{path}'; delete something or enlarge the file system",
        details={"reason": "disk_full"},  # not retryable: nobody waits for room that only a person can make
    )


def typed(error: sqlite3.Error, *, path: str = "metadata.db") -> WharfieError:
    """The error of the wire for an error of SQLite; what is no fault of disk or data is returned as `Internal`."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return disk_full(path)
    if primary == sqlite3.SQLITE_IOERR:
        return Unavailable(
            f"the disk under '{path}' failed: {error}; look into the kernel's log",
            details={"reason": "io_error", "code": code},
            retryable=True,
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataLoss(
            f"database '{path}' is damaged: {error}; restore it, or give another root", details={"reason": "corrupt"}
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(
            f"database '{path}' is held by another process; find it with 'fuser' and stop it", retryable=True
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return FailedPrecondition(f"database '{path}' cannot be written: {error}; make its directory writable")
    if primary == sqlite3.SQLITE_TOOBIG:
        return InvalidArgument("the object is larger than the database can hold; make it smaller")
    log.error("a statement failed in a way that it should not", exc_info=error)
    return Internal(f"database '{path}': {error}; please report it", details={"code": code})
