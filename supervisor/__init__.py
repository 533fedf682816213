"""The process that owns all others: policy (`decide`), shell (`processes`), the router and the daemon's life.

Floor five: imports wharfie, linux, config and actors' control channel; names actors only as dotted strings. The
supervisor itself never creates a ZeroMQ context and never starts a thread, so that fork is always safe.
"""
