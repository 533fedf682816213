"""The registry's client: OCI distribution protocol 1.1 over urllib3, blocking and thread-safe.

`client.py` is what others use. A `reference` leads to hosts (`host.py`, found by `hosts.py` in the files that
`hostsfile.py` reads), a host to an `endpoint.py`, which asks: with the right `authorizer.py`, again after a while
(`policy.py`), elsewhere when it is redirected, over `transport.py`; what is refused becomes an error in `failures.py`.
`manifests.py`, `blobs.py`, `uploads.py` and `referrers.py` are the protocol's four parts.

Nothing imports this package at a worker's start: urllib3 and ssl are for the process that fetches.
"""
