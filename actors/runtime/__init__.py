"""The runtime worker: tasks. It holds no truth that a shim or a bundle does not hold, too.

- `service`: the methods; `creating`, `deleting`: the two long ones
- `entry`, `table`: what is known of each task; a cache of what its shim said
- `bundle`: a task's directory; `launch`: forking a shim; `link`: talking to it
- `adoption`: finding the tasks again after a restart; `aftermath`: a shim that is dead
- `forwarding`: events to the metadata worker, acknowledged to the shim only when they are stored
"""
