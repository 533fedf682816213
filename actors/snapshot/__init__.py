"""The snapshot worker: directories by number; the names that people know belong to metadata.

`backend.py` is what a snapshotter promises, `overlayfs.py` and `native.py` are two of them, `service.py` answers the
methods of the wire. Nothing here mounts for others: mounts are data, and who needs one makes it.
"""
