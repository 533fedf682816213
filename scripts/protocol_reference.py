"""The reference of all methods, docs/protocol-methods.md, made from the routing table and the typed messages.

    python -m scripts.protocol_reference > docs/protocol-methods.md

`BODIES` says which type goes with which method; a test holds it against the routing table and the workers' handlers.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator
from enum import EnumType
from typing import Any, NamedTuple, Union

import msgspec

from wharfie.methods import METHODS, Method, Mode
from wharfie.types import (
    containers,
    content,
    convert,
    diff,
    events,
    export,
    gc,
    images,
    introspection,
    leases,
    namespaces,
    pull,
    snapshots,
    supervisor,
    tasks,
    transfer,
)
from wharfie.types.base import Descriptor, Empty, Mount

Type = type[Any]

_SECTION = re.compile(r"^(?:Args|Attributes):\n", re.MULTILINE)
_ARGUMENT = re.compile(r"    (\w+): (.*)")


class Bodies(NamedTuple):
    """The bodies of one method: what is asked, what comes back (at the end, for a stream), and a stream's items."""

    request: Type
    reply: Type
    item: Type | None = None
    payload: str = ""


BODIES: dict[str, Bodies] = {
    "version.get": Bodies(introspection.GetVersion, introspection.Version),
    "router.stats": Bodies(Empty, dict),
    "router.dead_letters": Bodies(Empty, dict),
    "supervisor.tree": Bodies(supervisor.Tree, supervisor.Node),
    "supervisor.list": Bodies(supervisor.List, supervisor.Actors),
    "supervisor.get": Bodies(supervisor.Get, supervisor.Inspection),
    "supervisor.crash_reports": Bodies(supervisor.GetCrashReports, supervisor.CrashReports),
    "supervisor.start": Bodies(supervisor.Start, supervisor.Actor),
    "supervisor.stop": Bodies(supervisor.Stop, supervisor.Actor),
    "supervisor.restart": Bodies(supervisor.Restart, supervisor.Actor),
    "supervisor.log_level": Bodies(supervisor.SetLogLevel, Empty),
    "supervisor.dump": Bodies(supervisor.Dump, supervisor.Stacks),
    "supervisor.reload": Bodies(supervisor.Reload, supervisor.Reloaded),
    "introspection.plugins": Bodies(introspection.ListPlugins, introspection.Plugins),
    "introspection.server": Bodies(introspection.GetServer, introspection.Server),
    "namespaces.get": Bodies(namespaces.Get, namespaces.Namespace),
    "namespaces.list": Bodies(namespaces.List, namespaces.Listing),
    "namespaces.create": Bodies(namespaces.Create, namespaces.Namespace),
    "namespaces.update": Bodies(namespaces.Update, namespaces.Namespace),
    "namespaces.delete": Bodies(namespaces.Delete, Empty),
    "containers.get": Bodies(containers.Get, containers.Container),
    "containers.list": Bodies(containers.List, containers.Listing),
    "containers.create": Bodies(containers.Create, containers.Container),
    "containers.update": Bodies(containers.Update, containers.Container),
    "containers.delete": Bodies(containers.Delete, Empty),
    "images.get": Bodies(images.Get, images.Image),
    "images.list": Bodies(images.List, images.Listing),
    "images.create": Bodies(images.Create, images.Image),
    "images.update": Bodies(images.Update, images.Image),
    "images.delete": Bodies(images.Delete, Empty),
    "content.info": Bodies(content.GetInfo, content.Info),
    "content.list": Bodies(content.List, content.Listing),
    "content.update": Bodies(content.Update, content.Info),
    "content.delete": Bodies(content.Delete, Empty),
    "content.read": Bodies(content.Read, Empty, content.Chunk, "each item has one frame of bytes"),
    "content.write": Bodies(content.Write, content.Status, payload="the request has one frame of bytes"),
    "content.put": Bodies(content.Put, content.Stored, payload="the request has one frame, the blob"),
    "content.check": Bodies(content.Check, Empty, content.Checked),
    "content.commit": Bodies(content.Commit, content.Info),
    "content.abort": Bodies(content.Abort, Empty),
    "content.status": Bodies(content.GetStatus, content.Status),
    "content.statuses": Bodies(content.ListStatuses, content.Statuses),
    "snapshots.stat": Bodies(snapshots.Stat, snapshots.Info),
    "snapshots.list": Bodies(snapshots.List, snapshots.Listing),
    "snapshots.update": Bodies(snapshots.Update, snapshots.Info),
    "snapshots.prepare": Bodies(snapshots.Prepare, snapshots.Mounts),
    "snapshots.view": Bodies(snapshots.View, snapshots.Mounts),
    "snapshots.mounts": Bodies(snapshots.GetMounts, snapshots.Mounts),
    "snapshots.commit": Bodies(snapshots.Commit, Empty),
    "snapshots.remove": Bodies(snapshots.Remove, Empty),
    "snapshots.usage": Bodies(snapshots.GetUsage, snapshots.Usage),
    "snapshots.cleanup": Bodies(snapshots.Cleanup, snapshots.Cleaned),
    "leases.get": Bodies(leases.Get, leases.Lease),
    "leases.list": Bodies(leases.List, leases.Listing),
    "leases.create": Bodies(leases.Create, leases.Lease),
    "leases.update": Bodies(leases.Update, leases.Lease),
    "leases.delete": Bodies(leases.Delete, Empty),
    "leases.add_resource": Bodies(leases.AddResource, Empty),
    "leases.delete_resource": Bodies(leases.DeleteResource, Empty),
    "leases.resources": Bodies(leases.ListResources, leases.Resources),
    "gc.run": Bodies(gc.Run, gc.Collected),
    "gc.explain": Bodies(gc.Explain, gc.Explanations),
    "gc.orphans": Bodies(gc.FindOrphans, gc.Orphans),
    "tasks.create": Bodies(tasks.Create, tasks.Created),
    "tasks.start": Bodies(tasks.Start, tasks.Created),
    "tasks.get": Bodies(tasks.Get, tasks.Process),
    "tasks.list": Bodies(tasks.List, tasks.Listing),
    "tasks.pids": Bodies(tasks.GetPids, tasks.Pids),
    "tasks.kill": Bodies(tasks.Kill, Empty),
    "tasks.exec": Bodies(tasks.Exec, Empty),
    "tasks.wait": Bodies(tasks.Wait, tasks.Exit),
    "tasks.delete": Bodies(tasks.Delete, tasks.Exit),
    "tasks.close_io": Bodies(tasks.CloseIO, Empty),
    "tasks.logs": Bodies(tasks.Logs, Empty, tasks.LogChunk, "each item has one frame of bytes"),
    "events.publish": Bodies(events.Publish, events.Published),
    "events.subscribe": Bodies(events.Subscribe, Empty, events.Envelope),
    "transfer.import": Bodies(transfer.Import, transfer.Imported, transfer.Progress),
    "transfer.unpack": Bodies(transfer.Unpack, transfer.Unpacked, transfer.Progress),
    "transfer.commit": Bodies(transfer.Commit, transfer.Committed, transfer.Progress),
    "transfer.export": Bodies(
        export.Export, export.Exported, export.Exporting, "without `path`, each item has one frame of bytes"
    ),
    "transfer.convert": Bodies(convert.Convert, convert.Converted, transfer.Progress),
    "transfer.pull": Bodies(pull.Pull, pull.Pulled, transfer.Progress),
    "transfer.push": Bodies(pull.Push, pull.Pushed, transfer.Progress),
    "transfer.repair": Bodies(pull.Repair, pull.Repaired, transfer.Progress),
    "transfer.referrers": Bodies(pull.Referrers, pull.ReferrersFound, transfer.Progress),
    "diff.create": Bodies(diff.Create, diff.Created, transfer.Progress),
    "diff.apply": Bodies(diff.Apply, diff.Applied, transfer.Progress),
    "diff.changes": Bodies(diff.GetChanges, Empty, diff.Changes),
    **{name: Bodies(Empty, Empty) for name in METHODS if name.endswith(".ping")},
}
"""Every method that clients may call, grouped as the page shows them."""

_HEAD = """\
# The methods

<!-- Made by `python -m scripts.protocol_reference`; a change belongs into wharfie/methods.py or wharfie/types/. -->

How a request travels is in [protocol.md](protocol.md). Here is what stands in each body.

A field without a default is mandatory. A field that holds its default is left out of a message, in both directions, so
a reader fills in the defaults of these tables. A field that is unknown is ignored. Times that end in `_at_ns` are
nanoseconds since 1970 (UTC), `timestamp_ns` too; `_s` is seconds, `_bytes` bytes. `map` is a map with text keys and
values of any kind; `labels` is a map of text to text.

*Kind* says what may be repeated: a `read` changes nothing; a `write` carries a key; a `stream` answers with items.
*No namespace* marks methods whose header needs none.

"""


def page() -> str:
    """The whole page."""
    return _HEAD + "\n".join([*_methods(), *_shared()]) + "\n"


def _methods() -> Iterator[str]:
    service = ""
    for name, bodies in BODIES.items():
        if name.endswith(".ping"):
            continue
        if name.partition(".")[0] != service:
            service = name.partition(".")[0]
            yield f"## {service}\n"
        yield from _method(name, METHODS[name], bodies)
    names = ", ".join(f"`{name}`" for name in BODIES if name.endswith(".ping"))
    yield f"## ping\n\n{names}: a read that its worker answers with an empty map. No namespace.\n"


def _method(name: str, rule: Method, bodies: Bodies) -> Iterator[str]:
    facts = [str(rule.mode), f"answered by {rule.owner}"]
    if not rule.namespaced:
        facts.append("no namespace")
    if rule.waits and rule.mode is not Mode.STREAM:
        facts.append("may wait for ever: give it a deadline, or none")
    yield f"### `{name}`\n"
    yield f"*{', '.join(facts)}*\n"
    if said := _said(bodies.request, name):
        yield f"{said}\n"
    yield from _table("Request", bodies.request)
    if bodies.item is not None:
        yield from _table("Item", bodies.item)
        yield from _table("End", bodies.reply)
    elif bodies.reply is dict:
        yield "Reply: a map of counts and lists, for people; its keys may change.\n"
    else:
        yield from _table("Reply", bodies.reply)
    if bodies.payload:
        yield f"Payload: {bodies.payload}.\n"


def _said(kind: Type, name: str) -> str:
    """A type's documentation as a paragraph, without the method's own name at its head."""
    if kind is Empty:
        return ""
    text = " ".join(_prose(kind).split())
    text = text.removeprefix(f"`{name}`").lstrip(":,. ")
    return text[:1].upper() + text[1:]


def _prose(kind: Type) -> str:
    return (inspect.getdoc(kind) or "").partition("\nArgs:")[0].partition("\nAttributes:")[0]


def _table(title: str, kind: Type) -> Iterator[str]:
    fields = msgspec.structs.fields(kind)
    if not fields:
        yield f"{title}: an empty map.\n"
        return
    meanings = _meanings(kind)
    yield f"{title}, `{_name(kind)}`:\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    hints = typing.get_type_hints(kind)
    for field in fields:
        cells = (f"`{field.name}`", _type(hints[field.name]), _default(field), meanings.get(field.name, ""))
        yield f"| {' | '.join(cells)} |".replace("  |", " |")
    yield ""


def _meanings(kind: Type) -> dict[str, str]:
    """What the type's documentation says of single fields: in its section of arguments, or below each field."""
    found: dict[str, str] = {}
    name = ""
    for line in _SECTION.split(inspect.getdoc(kind) or "")[-1].splitlines():
        head = _ARGUMENT.match(line)
        if head is not None:
            name = head[1]
            found[name] = head[2]
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    for field, text in itertools.pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    value = field.default
    if value is msgspec.NODEFAULT:
        return "mandatory"
    if value in ("", None) or isinstance(value, msgspec.Struct):
        return "empty" if value == "" else "none" if value is None else "its defaults"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _name(kind: Type) -> str:
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return f"array of {_type(arguments[0])}"
    if origin is dict:
        return "labels" if arguments == (str, str) else "map"
    if origin in (Union, types.UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if isinstance(hint, EnumType):
        names: Iterable[object] = hint.__members__.values()
        return "one of " + ", ".join(f"`{name}`" for name in names)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"`{_name(hint)}`"
    return {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "nil"}.get(hint, "any")


def _shared() -> Iterator[str]:
    """The types that stand inside others, each once."""
    yield "## Types inside the bodies\n"
    tops = {kind for bodies in BODIES.values() for kind in (bodies.request, bodies.reply, bodies.item)}
    seen: set[Type] = set()
    queue: list[Any] = [kind for kind in tops if kind not in (None, dict)]
    while queue:
        kind = queue.pop()
        hints = typing.get_type_hints(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else {}
        for hint in (*hints.values(), *typing.get_args(kind)):
            if hint not in seen and (typing.get_args(hint) or isinstance(hint, type)):
                seen.add(hint)
                queue.append(hint)
    inner = {kind for kind in seen if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    for kind in sorted(inner | {Descriptor, Mount}, key=_name):
        yield f"### `{_name(kind)}`\n"
        yield f"{' '.join(_prose(kind).split())}\n"
        yield from _table("Fields", kind)


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
