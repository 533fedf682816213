"""The transfer worker: images from archives into the daemon, and their layers into snapshots.

`archive.py` opens an image archive, `tarindex.py` finds its members, `layout.py` and `dockersave.py` read the two kinds
of archives into a `plan.py`: blobs, names, and what to unpack. All of that runs in a job (`job.py`), because strangers
write archives. `importer.py` carries a plan out, `unpacker.py` makes snapshots of layers with the jobs of `unpack/`,
`leftovers.py` removes what a dead incarnation left behind, `operations.py` lets several requests follow one piece of
work, and `service.py` answers the methods of the wire.

This worker owns nothing but what is on its way: blobs are content's, snapshots the snapshot worker's, names metadata's.
"""
