"""Every command of `wharfie`: where it is and its line in the help. Data only, so that `--help` imports no command.

`tests/unit/cli/test_catalog.py` holds the lines against the commands themselves.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command at the top.

    Attributes:
        module: below `cli`.
        attribute: of the module, a click command.
        help: its first line of help.
        section: the heading it stands under.
    """

    module: str
    attribute: str
    help: str
    section: str


CONTAINERS = "Containers"
IMAGES = "Images"
DAEMON = "The daemon"
NOUNS = "By noun"

COMMANDS: dict[str, Entry] = {
    "run": Entry("run", "run", "Run a command in a new container.", CONTAINERS),
    "ps": Entry("ps", "ps", "List containers.", CONTAINERS),
    "logs": Entry("logs", "logs", "Print what a container wrote.", CONTAINERS),
    "exec": Entry("exec", "execute", "Run one more command in a running container.", CONTAINERS),
    "stop": Entry("lifecycle", "stop", "Stop containers: their stop signal, then SIGKILL.", CONTAINERS),
    "start": Entry("lifecycle", "start", "Start containers that are created or stopped.", CONTAINERS),
    "kill": Entry("lifecycle", "kill", "Send containers a signal, SIGKILL by default.", CONTAINERS),
    "wait": Entry("lifecycle", "wait", "Wait for containers to end and print their exit codes.", CONTAINERS),
    "commit": Entry("commit", "commit", "Make an image of what a container has changed.", CONTAINERS),
    "diff": Entry("diff", "diff", "Show what a container has changed in its files.", CONTAINERS),
    "rm": Entry("container", "rm", "Remove containers with their tasks and snapshots.", CONTAINERS),
    "inspect": Entry("inspect", "inspect", "Show containers or images as JSON.", CONTAINERS),
    "images": Entry("imagenames", "ls", "List images.", IMAGES),
    "pull": Entry("pull", "pull", "Pull an image from a registry.", IMAGES),
    "push": Entry("push", "push", "Push an image to a registry.", IMAGES),
    "import": Entry("load", "load", "Import images from an archive.", IMAGES),
    "export": Entry("export", "export", "Write images into an archive.", IMAGES),
    "history": Entry("imagefacts", "history", "Show how an image came to be, the newest step first.", IMAGES),
    "tag": Entry("imagenames", "tag", "Give an image one more name.", IMAGES),
    "rmi": Entry("imagenames", "rm", "Remove names of images, and what only they needed.", IMAGES),
    "login": Entry("login", "login", "Log in to a registry.", IMAGES),
    "logout": Entry("login", "logout", "Forget the credentials of a registry.", IMAGES),
    "gc": Entry("gc", "gc", "Collect garbage, or tell who holds a thing and what nobody holds.", DAEMON),
    "events": Entry("events", "events", "Print events as they happen.", DAEMON),
    "version": Entry("version", "version", "Show the versions of this program and of the daemon.", DAEMON),
    "info": Entry("info", "info", "Show what the daemon is and what it holds.", DAEMON),
    "completion": Entry("completion", "completion", "Print the completion script of a shell.", DAEMON),
    "namespace": Entry("namespace", "namespace", "Namespaces: the tenants of the daemon.", NOUNS),
    "container": Entry("container", "container", "Containers: records of what is to be run.", NOUNS),
    "task": Entry("task", "task", "Tasks: the running processes of containers.", NOUNS),
    "image": Entry("image", "image", "Images: names for content.", NOUNS),
    "content": Entry("content", "content", "Content: blobs by digest, and their ingests.", NOUNS),
    "snapshot": Entry("snapshot", "snapshot", "Snapshots: file systems in layers.", NOUNS),
    "lease": Entry("lease", "lease", "Leases: what keeps things from the garbage collector.", NOUNS),
    "plugin": Entry("plugin", "plugin", "Plugins: what the daemon is made of.", NOUNS),
    "actor": Entry("actor", "actor", "Actors: the daemon's processes.", NOUNS),
}

ALIASES = {
    "namespaces": "namespace",
    "ns": "namespace",
    "containers": "container",
    "c": "container",
    "tasks": "task",
    "t": "task",
    "i": "image",
    "snapshots": "snapshot",
    "leases": "lease",
    "plugins": "plugin",
    "actors": "actor",
    "load": "import",
    "save": "export",
}
"""Other names of the commands at the top, as users of `ctr` and Docker type them; not shown."""

VERBS = {"list": "ls", "remove": "rm", "delete": "rm", "del": "rm", "info": "inspect"}
"""Other names of the verbs below a noun; not shown."""
