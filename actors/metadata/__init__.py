"""The metadata worker: the one owner of everything that has a name in a namespace.

One SQLite database, `root/metadata.db`, opened by this process only. From the ground up:

- `schema` (tables and migrations), `database` (opening, errors), `transaction` (one commit for all requests of a turn,
  each in a savepoint), `replies` (key → first answer), `eventlog` (what happened, numbered, kept for a while);
- `masks`, `snapshotrules`, `records`, `references`: decisions and encodings without I/O;
- `graph` (what refers to what, as it is written), `holding` (leases that hold what a call creates);
- `namespaces`, `containers`, `images`, `leases`, `content`, `snapshots`, `events`: the services, one noun each;
- `schedule` and `scheduler` (when), `collector` (a collection), `edges`, `marking`, `ordering`, `sweeping` (its parts),
  `gc` (what clients ask of it);
- `housekeeping` prunes in small steps; `main` puts it together.
"""
