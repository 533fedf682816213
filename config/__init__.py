"""The daemon's settings, paths, lock, log and systemd unit.

Floor: above the kernel's and the public package, below every process of the daemon; this package imports nothing of
ours. Every setting is declared once, in `settings.py` (and the timeouts in `timeout.py`); the file's validation, the
commented default file, `config dump` and docs/configuration.md are made from that declaration. The supervisor loads
the settings once, before its first fork, and its children inherit the finished tree: nobody reads a file again.
"""
