"""The fetcher: one process for each request, the only one that speaks with registries.

The transfer worker decides, the fetcher does: it has threads that may wait for a network, and nothing else that is
worth taking over. `messages.py` is what the two say to each other, `process.py` the job, `fetcher.py` the worker's
side.
"""
