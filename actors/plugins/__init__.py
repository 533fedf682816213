"""Plugins: what the daemon is made of, as a list that can be inspected, cut down and added to.

- `registration`: one record, and the forms of its name; `registry`: all of them, refusing faulty ones;
- `graph`: in which order they start, and which worker needs which;
- `context`: what an init function gets; `load`: initialising those of one worker;
- `builtin`: our own as a table; `discover`: those of others, from entry points and `plugin_dir`.
"""
