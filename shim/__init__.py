"""The process beside each container: it runs the OCI runtime, reaps, records and tells.

A shim is a fork of the warm supervisor and never executes another Python. It has no thread, no asyncio and no ZeroMQ,
and it keeps away from what would dirty shared pages, because there are as many shims as containers: plain `_socket`
sockets instead of `socket`'s, `_signal` instead of `signal`'s enums, no logging.

Floors: imports `wharfie.failpoint`, `linux` and itself.

- `protocol`  what is said over its socket (the runtime worker's end imports this, too)
- `journal`   the events that outlive it; `read_journal` is for whoever cleans up after it
- `states`    which operation a process's state allows; pure
- `main`      the entry, `main(args, fds)`, and `preload()` for the supervisor
"""
