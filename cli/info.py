"""`wharfie info`: the daemon, and how much it holds in a namespace."""

from __future__ import annotations

import sys
from collections import Counter

from cli.duration import spoken, timestamp
from cli.group import command
from cli.output import fields, plain, print_json
from cli.settings import Settings, pass_settings


@command(
    "info",
    examples="""
    wharfie info
    wharfie -n ci info --json
    """,
)
@pass_settings
def info(settings: Settings, /) -> None:
    """Show what the daemon is and what it holds."""
    client = settings.client()
    server = client.server()
    states = Counter(str(task.status) for task in client.tasks.list())
    holds = {
        "namespaces": len(client.namespaces.list()),
        "containers": len(client.containers.list(without_spec=True)),
        "tasks": dict(states),
        "images": len(client.images.list()),
    }
    actors = {actor.name: str(actor.state) for actor in client.supervisor.list()}
    if settings.json:
        print_json({"server": plain(server), "namespace": client.namespace, **holds, "actors": actors})
        return
    tasks = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    sys.stdout.write(
        fields(
            (
                ("Version", server.version),
                ("UUID", server.uuid),
                ("PID", server.pid),
                ("Address", server.address),
                ("Root", server.root),
                ("State", server.state),
                ("Started", f"{timestamp(server.started_at_ns)} ({spoken(server.uptime_s)} ago)"),
                ("Actors", ", ".join(f"{name} {state}" for name, state in actors.items())),
                ("Namespaces", holds["namespaces"]),
                ("Namespace", client.namespace),
                ("Containers", holds["containers"]),
                ("Tasks", tasks or "0"),
                ("Images", holds["images"]),
            )
        )
    )
