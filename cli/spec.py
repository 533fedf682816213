"""The options that make a container, shared by `run` and `container create`, and the container they make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from cli.group import Option
from cli.labels import parse_labels
from cli.resolve import with_image
from cli.size import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wharfie._sync.client import Client
    from wharfie._sync.containers import Container
    from wharfie.options import RunOptions

STOP_SIGNAL_LABEL = "io.containerd.image.config.stop-signal"
"""containerd's label for the signal that the image wants to be stopped with."""

LOG_LABEL = "wharfie.log-uri"
"""Where the output of a detached container goes, so that `start` sends it there again."""

LOG_URI = "log://"
"""The file that the daemon keeps for a container."""


def _bytes(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    try:
        return parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_OPTIONS = (
    Option(["--name"], metavar="ID", help="The container's id.  [default: a random one]"),
    Option(["-e", "--env"], multiple=True, metavar="NAME[=VALUE]", help="Set a variable, or pass on our own."),
    Option(["-w", "--workdir"], default="", metavar="DIR", help="The directory to start in."),
    Option(["-u", "--user"], default="", metavar="USER[:GROUP]", help="Run as this user, by name or number."),
    Option(["-v", "--volume", "volumes"], multiple=True, metavar="SRC:DST[:ro]", help="Show SRC of the host at DST."),
    Option(
        ["--net"],
        default="none",
        type=click.Choice(["none", "host"]),
        help="Its own empty network, or the host's.  [default: none]",
    ),
    Option(["--read-only"], is_flag=True, help="The root file system cannot be written."),
    Option(["--hostname"], default="", metavar="NAME", help="[default: the container's id]"),
    Option(["--privileged"], is_flag=True, help="Give up what keeps the container apart from the host."),
    Option(["--memory", "memory_bytes"], default="0", metavar="SIZE", callback=_bytes, help="Memory limit: 64m, 1.5g."),
    Option(["--cpus"], default=0.0, type=float, metavar="N", help="Processor limit: 1.5 is one and a half."),
    Option(["--pids-limit"], default=0, type=int, metavar="N", help="Most processes and threads."),
    Option(["--entrypoint"], default=None, metavar="PROGRAM", help="Replace the image's entrypoint."),
    Option(["-l", "--label", "labels"], multiple=True, metavar="KEY=VALUE", help="Label the container."),
    Option(["--snapshotter"], default="", metavar="NAME", help="[default: the daemon's]"),
    Option(["--platform"], default="", metavar="OS/ARCH", help="Of the image.  [default: this machine's]"),
)


def container_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the options that make a container; `make` takes their values."""
    params: list[click.Parameter] = getattr(function, "__click_params__", [])
    function.__click_params__ = [*params, *reversed(_OPTIONS)]  # type: ignore[attr-defined]
    return function


def run_options(values: dict[str, Any]) -> RunOptions:
    """The library's options from the values of ours."""
    options: RunOptions = {
        "env": [variable(text) for text in values["env"]],
        "workdir": values["workdir"],
        "user": values["user"],
        "volumes": [_volume(text) for text in values["volumes"]],
        "net": values["net"],
        "hostname": values["hostname"],
        "read_only": values["read_only"],
        "privileged": values["privileged"],
        "memory_bytes": values["memory_bytes"],
        "cpus": values["cpus"],
        "pids_limit": values["pids_limit"],
    }
    if values["entrypoint"] is not None:
        options["entrypoint"] = [values["entrypoint"]] if values["entrypoint"] else []
    return options


def variable(text: str) -> str:
    """`NAME` alone is our own variable of that name; one that we do not have is removed from the image's."""
    return f"{text}={os.environ[text]}" if "=" not in text and text in os.environ else text


def _volume(text: str) -> str:
    """The daemon has another working directory: a source of `.` or below it becomes absolute here."""
    source, colon, rest = text.partition(":")
    return f"{os.path.abspath(source)}{colon}{rest}" if source.split("/", 1)[0] in {".", ".."} else text


def make(client: Client, image: str, args: Sequence[str], values: dict[str, Any], *, log_uri: str = "") -> Container:
    """The container that the options describe, without a task.

    Args:
        client: to make it with.
        image: as it was typed.
        args: the command; empty is the image's.
        values: of `container_options`.
        log_uri: kept in a label for `start`; empty for none.
    """
    labels = parse_labels(values["labels"])
    options = run_options(values)
    platform = values["platform"]
    name, config = with_image(client, image, lambda found: client.images.config(found, platform=platform))
    if config.config is not None and config.config.stop_signal:
        labels.setdefault(STOP_SIGNAL_LABEL, config.config.stop_signal)
    if log_uri and log_uri != LOG_URI:
        labels[LOG_LABEL] = log_uri
    return client.containers.create_from(
        name,
        config,
        args,
        id=values["name"] or "",
        labels=labels,
        snapshotter=values["snapshotter"],
        platform=platform,
        **options,
    )
