"""The user's credentials for registries and for the mirrors that stand in for them, as a request takes them along."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wharfie.types.registry import Credentials


def credentials_of(hosts: Iterable[str]) -> Credentials:
    """What the user's files and helpers have for these registries.

    Mirrors are looked up in the daemon's default directory of hosts.toml, as far as the user may read it; what is wrong
    there the daemon says when it comes to it.

    Raises:
        FailedPrecondition: a file of credentials is malformed, or a helper failed.
    """
    from actors.transfer.registry.hosts import names_of
    from config.settings import Transfer
    from wharfie import credentials, errors

    directories = Transfer().hosts_dir.split(":")
    names = dict.fromkeys(hosts)
    for host in list(names):
        with contextlib.suppress(errors.FailedPrecondition):
            names.update(dict.fromkeys(names_of(host, directories)))
    return credentials.collect(names)
