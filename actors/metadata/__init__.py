"""The metadata worker: the one owner of everything that has a name in a namespace.

One SQLite database, `root/metadata.db`, opened by this process only. From the ground up:

- `schema` (tables and migrations), `database` (opening, errors), `transaction` (one commit for all requests of a turn,
  each in a savepoint), `replies` (key → first answer), `eventlog` (what happened, numbered, kept for a while);
- `masks`, `snapshotrules`, `records`: decisions and encodings without I/O;
- `namespaces`, `containers`, `images`, `content`, `snapshots`, `events`: the services, one noun each;
- `housekeeping` prunes in small steps; `main` puts it together.
"""
