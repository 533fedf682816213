"""What every content store and every snapshotter has to do, as functions over a client of a running daemon.

`content.py`, `snapshot_names.py` and `snapshot_files.py` hold the cases; the tests beside them run each over each
back-end. The cases are those that containerd's own suites for stores and snapshotters cover, written anew.
"""
