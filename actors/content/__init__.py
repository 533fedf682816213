"""The content worker: blobs by digest, and the ingests they grow from.

`store.py` is the files of blobs, `ingest.py` one blob that is being written, `ingests.py` all of them with their life
on disk, `admission.py` the rule which write may go where, `writing.py` one write, `committing.py` how an ingest becomes
a blob and how a blob is deleted; `service.py` and `reading.py` answer the methods of the wire.

Which namespace names which blob is metadata's business; this worker only keeps the bytes of every digest that some
namespace names.
"""
