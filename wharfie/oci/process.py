"""What the container runs: the image's defaults merged with the caller's wishes.

The merge follows Docker: arguments replace the image's command but keep its entrypoint; an entrypoint of the caller
drops the image's command, too; a variable replaces the image's one in place.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from wharfie.errors import InvalidArgument
from wharfie.oci.capabilities import process_capabilities
from wharfie.oci.image_config import ContainerConfig
from wharfie.oci.user import User

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge_args(
    image: ContainerConfig, *, args: Sequence[str] = (), entrypoint: Sequence[str] | None = None
) -> list[str]:
    """The argument vector.

    Args:
        image: the image's defaults.
        args: the caller's command; empty means the image's.
        entrypoint: the caller's entrypoint; None means the image's, an empty one none at all.

    Raises:
        InvalidArgument: nothing is left to run, or a NUL byte in an argument.

    """
    image_vector = [*(image.entrypoint or ()), *(args or image.cmd or ())]
    vector = image_vector if entrypoint is None else [*entrypoint, *args]
    if not vector or not vector[0]:
        raise InvalidArgument("no command: the image names none and none was given", details={"field": "args"})
    _refuse_nul(vector, field="args")
    return vector


def merge_env(base: Sequence[str], override: Sequence[str] = ()) -> list[str]:
    """The environment: `NAME=value` replaces in place or is appended, a bare `NAME` removes.

    Raises:
        InvalidArgument: an entry of the caller without a name, or with a NUL byte.

    """
    _refuse_nul(override, field="env")
    merged = {entry.partition("=")[0]: entry for entry in base if "=" in entry and "\0" not in entry}
    for entry in override:
        name, equals, _ = entry.partition("=")
        if not name:
            raise InvalidArgument(f"variable '{entry}' has no name", details={"field": "env"})
        if equals:
            merged[name] = entry
        else:
            merged.pop(name, None)
    return list(merged.values())


def working_directory(image: ContainerConfig, workdir: str | None = None) -> str:
    """The directory to start in: the caller's (absolute), else the image's, else `/`.

    An image's relative one is taken from `/`; both are normalised so that the runtime creates what is meant.

    Raises:
        InvalidArgument: the caller's is not absolute.

    """
    if workdir:
        if not workdir.startswith("/"):
            raise InvalidArgument(f"working directory '{workdir}' is not absolute", details={"field": "workdir"})
        _refuse_nul([workdir], field="workdir")
    return posixpath.normpath(posixpath.join("/", workdir or image.working_dir or "/")).replace("//", "/")


def process_user(user: User) -> dict[str, Any]:
    """The specification's `user` object."""
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)}


def exec_process(
    base: dict[str, Any],
    *,
    args: Sequence[str],
    env: Sequence[str] = (),
    workdir: str | None = None,
    user: User | None = None,
    tty: bool = False,
) -> dict[str, Any]:
    """The `process` object of an additional process in a container.

    It is the container's own with another command: same capabilities, limits, and profile, because they bound the
    container and not its first process.

    Args:
        base: the `process` object of the container's specification; not changed.
        args: the command.
        env: added to the container's environment as in `merge_env`.
        workdir: None means the container's.
        user: None means the container's.
        tty: whether it gets a terminal.

    """
    if not args or not args[0]:
        raise InvalidArgument("no command given to execute", details={"field": "args"})
    _refuse_nul(args, field="args")
    process = dict(base)
    process["args"] = list(args)
    process["env"] = merge_env(base.get("env", ()), env)
    process["terminal"] = tty
    if workdir:
        process["cwd"] = working_directory(ContainerConfig(), workdir)
    if user is not None:
        process["user"] = process_user(user)
        if "capabilities" in base:
            process["capabilities"] = process_capabilities(
                base["capabilities"].get("bounding", ()), is_root=user.uid == 0
            )
    return process


def _refuse_nul(texts: Sequence[str], *, field: str) -> None:
    if any("\0" in text for text in texts):
        raise InvalidArgument(f"a NUL byte in '{field}'", details={"field": field})
