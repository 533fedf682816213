"""Which hosts stand for a registry: the directory of its name below the configuration's, or the registry itself.

Read anew for each client, that is for each pull and push: a change of the files needs no restart.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import replace

from actors.transfer.registry.host import Host, Tls, is_loopback
from actors.transfer.registry.hostsfile import read_hosts_file
from wharfie.errors import FailedPrecondition
from wharfie.reference import api_host

FILE = "hosts.toml"
DEFAULT = "_default"


def hosts_for(
    host: str, directories: Sequence[str], *, plain_http: bool = False, skip_verify: bool = False
) -> list[Host]:
    """The hosts to ask, in order; the last one is the registry itself.

    Args:
        host: of the reference.
        directories: that may have a directory for it; the first that has wins.
        plain_http: how to speak to the registry when no file says.
        skip_verify: believe any certificate when no file says.

    Raises:
        FailedPrecondition: a file is malformed; names the file and the key.
    """
    directory = _directory(host, directories)
    own_tls = docker_certificates(directory) if directory else Tls()
    if skip_verify:
        own_tls = replace(own_tls, skip_verify=True)
    own = Host(url=_own_url(host, plain_http=plain_http, tls=own_tls), tls=own_tls)
    path = os.path.join(directory, FILE) if directory else ""
    if not path or not os.path.exists(path):
        return [own]
    return read_hosts_file(path, own=own, namespace=host)


def names_of(host: str, directories: Sequence[str]) -> list[str]:
    """The registry and the hosts that stand in for it: those that may want credentials. Errors as `hosts_for`."""
    mirrors = [entry.authority for entry in hosts_for(host, directories) if entry.namespace]
    return list(dict.fromkeys([host, *mirrors]))


def docker_certificates(directory: str) -> Tls:
    """The certificates that docker would use: `*.crt` are authorities, `X.cert` with `X.key` is who we are.

    Raises:
        FailedPrecondition: a certificate without its key.
    """
    pairs = []
    for certificate in sorted(glob.glob(os.path.join(glob.escape(directory), "*.cert"))):
        key = f"{certificate.removesuffix('.cert')}.key"
        if not os.path.exists(key):
            raise FailedPrecondition(
                f"certificate '{certificate}' has no key beside it; put it into '{key}'",
                details={"reason": "registry_files", "path": certificate},
            )
        pairs.append((certificate, key))
    authorities = sorted(glob.glob(os.path.join(glob.escape(directory), "*.crt")))
    return Tls(ca=tuple(authorities), client=tuple(pairs))


def directory_names(host: str) -> list[str]:
    """The names under which a host's directory is looked for, in order; without colons where file systems mind."""
    name, colon, port = host.rpartition(":")
    named = [f"{name}_{port}_"] if colon and port.isdigit() else []
    return [*named, host, DEFAULT]


def _directory(host: str, directories: Sequence[str]) -> str:
    for above in directories:
        for name in directory_names(host):
            path = os.path.join(above, name)
            if os.path.isdir(path):
                return path
    return ""


def _own_url(host: str, *, plain_http: bool, tls: Tls) -> str:
    name = api_host(host)
    known_secure = tls != Tls() or name.endswith(":443")
    plain = plain_http or (is_loopback(name) and not known_secure)
    return f"{'http' if plain else 'https'}://{name}/v2"
