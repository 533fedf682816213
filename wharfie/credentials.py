"""Who the user is at registries: docker's `config.json`, the `auth.json` of podman and skopeo, credential helpers.

For programs on the user's side: the daemon reads none of this, credentials travel in the request that needs them. Every
store is looked through for the one host that is asked for; a helper is run only for its own hosts. Source of the
formats: docker's CLI documentation and containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wharfie import credentialhelper
from wharfie.errors import FailedPrecondition
from wharfie.types.registry import Credential, Credentials

DOCKER_HUB = "https://index.docker.io/v1/"
"""How docker.io is called in these files."""

_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, kw_only=True)
class CredentialFile:
    """One file, read.

    Attributes:
        path: for sentences.
        auths: by the file's own keys.
        helper: of every host that `helpers` does not name; empty is none.
        helpers: by host.
        document: all of the file, for writing it again.
    """

    path: str
    auths: Mapping[str, Any] = field(default_factory=dict)
    helper: str = ""
    helpers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)


def files(environment: Mapping[str, str] | None = None) -> list[str]:
    """The paths that are looked at, the first that knows a host wins.

    Args:
        environment: None is this process's: `REGISTRY_AUTH_FILE` (then it alone), `DOCKER_CONFIG`, `XDG_RUNTIME_DIR`,
            `XDG_CONFIG_HOME`, `HOME`.
    """
    environ = os.environ if environment is None else environment
    if environ.get("REGISTRY_AUTH_FILE"):
        return [environ["REGISTRY_AUTH_FILE"]]
    runtime, home = environ.get("XDG_RUNTIME_DIR"), environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    found = [login_file(environ)]
    found += [os.path.join(above, "containers", "auth.json") for above in (runtime, config) if above]
    return [path for path in found if path]


def login_file(environment: Mapping[str, str] | None = None) -> str:
    """Where `wharfie login` writes: `REGISTRY_AUTH_FILE`, else docker's; empty without a home."""
    environ = os.environ if environment is None else environment
    if environ.get("REGISTRY_AUTH_FILE"):
        return environ["REGISTRY_AUTH_FILE"]
    home = environ.get("HOME", "")
    above = environ.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else "")
    return os.path.join(above, "config.json") if above else ""


def find(
    host: str, *, environment: Mapping[str, str] | None = None, helper_timeout_s: float = credentialhelper.TIMEOUT_S
) -> Credential | None:
    """The credential of a host, from the first file that has one.

    Args:
        host: as in a reference: `docker.io`, `localhost:5000`.
        environment: None is this process's.
        helper_timeout_s: for a helper's answer.

    Returns:
        None when nobody knows the host.

    Raises:
        FailedPrecondition: a file is malformed, a helper is missing or failed; names it.
    """
    for path in files(environment):
        found = lookup(read(path), host, helper_timeout_s=helper_timeout_s)
        if found is not None:
            return found
    return None


def collect(hosts: Iterable[str], *, environment: Mapping[str, str] | None = None) -> Credentials:
    """The credentials of several hosts, for one request; hosts that nobody knows are left out. Errors as `find`."""
    found = {host: find(host, environment=environment) for host in hosts}
    return {host: credential for host, credential in found.items() if credential is not None}


def read(path: str) -> CredentialFile:
    """One file; one that is not there, or empty, has nothing in it.

    Raises:
        FailedPrecondition: it cannot be read or is malformed.
    """
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return CredentialFile(path=path)
    except OSError as error:
        raise _bad(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _bad(path, "is no JSON object")
    auths, helpers, helper = (document.get(key) for key in ("auths", "credHelpers", "credsStore"))
    if not all(isinstance(table, dict | None) for table in (auths, helpers)) or not isinstance(helper, str | None):
        raise _bad(path, "has 'auths' or 'credHelpers' that is no object, or a 'credsStore' that is no string")
    return CredentialFile(path=path, auths=auths or {}, helper=helper or "", helpers=helpers or {}, document=document)


def lookup(
    file: CredentialFile, host: str, *, helper_timeout_s: float = credentialhelper.TIMEOUT_S
) -> Credential | None:
    """What one file knows of a host: its own helper, then the entry in the file, then the common helper.

    Raises:
        FailedPrecondition: the entry is malformed, or the helper failed.
        Unavailable: the helper did not answer in time.
    """
    keys = keys_of(host)
    for key in keys:
        helper = file.helpers.get(key)
        if isinstance(helper, str) and helper:
            return credentialhelper.get(helper, key, timeout_s=helper_timeout_s)
    found = _entry(file, keys)
    if found is None and file.helper:
        found = credentialhelper.get(file.helper, keys[0], timeout_s=helper_timeout_s)
    return found


def keys_of(host: str) -> list[str]:
    """The names that a host has in these files, the likeliest first."""
    if host in _HUB_NAMES:
        return [DOCKER_HUB, *_HUB_NAMES]
    return [host, f"https://{host}", f"http://{host}"]


def store(path: str, host: str, credential: Credential, *, helper_timeout_s: float = credentialhelper.TIMEOUT_S) -> str:
    """Keep a credential: with the host's helper if the file names one, else in the file, readable by its owner only.

    Atomic: other readers see the old file or the new one.

    Returns:
        Where it went: the helper's name, or the path.
    """
    file = read(path)
    key = keys_of(host)[0]
    helper = _helper_of(file, host)
    if helper:
        credentialhelper.store(helper, key, credential, timeout_s=helper_timeout_s)
        _write(file, {**file.auths, key: {}})
        return helper
    pair = f"{credential.username}:{credential.password if not credential.identity_token else ''}"
    entry = {"auth": base64.b64encode(pair.encode()).decode()}
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    _write(file, {**file.auths, key: entry})
    return path


def erase(path: str, host: str, *, helper_timeout_s: float = credentialhelper.TIMEOUT_S) -> bool:
    """Forget a host; returns whether it was known. Idempotent."""
    file = read(path)
    keys = keys_of(host)
    known = _names_in(file, keys)
    helper = _helper_of(file, host)
    erased = False
    if helper:
        for key in known or keys[:1]:
            erased |= credentialhelper.erase(helper, key, timeout_s=helper_timeout_s)
    if known:
        _write(file, {key: entry for key, entry in file.auths.items() if key not in known})
    return bool(known) or erased


def _helper_of(file: CredentialFile, host: str) -> str:
    return next((str(file.helpers[key]) for key in keys_of(host) if file.helpers.get(key)), file.helper)


def _entry(file: CredentialFile, keys: list[str]) -> Credential | None:
    for name in _names_in(file, keys):
        entry = file.auths[name]
        if isinstance(entry, dict) and entry:
            found = _credential(file, name, entry)
            if found != Credential():
                return found
    return None


def _names_in(file: CredentialFile, keys: list[str]) -> list[str]:
    """The names that a host has in this file, in the order of `keys`; tools differ in the slash at the end."""
    return [name for key in keys for name in file.auths if name.rstrip("/") == key.rstrip("/")]


def _credential(file: CredentialFile, key: str, entry: Mapping[str, Any]) -> Credential:
    texts = {name: entry.get(name) or "" for name in ("auth", "username", "password", "identitytoken", "registrytoken")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise _bad(file.path, f"has an entry for '{key}' with something else than strings")
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            pair = base64.b64decode(texts["auth"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _bad(file.path, f"has an 'auth' for '{key}' that is no base64 of 'user:password'") from error
        username, colon, password = pair.partition(":")
        if not colon:
            raise _bad(file.path, f"has an 'auth' for '{key}' that is no base64 of 'user:password'")
        password = password.rstrip("\0")
    return Credential(
        username=username, password=password, identity_token=texts["identitytoken"], bearer=texts["registrytoken"]
    )


def _write(file: CredentialFile, auths: Mapping[str, Any]) -> None:
    document = {**file.document, "auths": dict(auths)}
    # Through a link: the file is often one, into a directory under version control.
    path = os.path.realpath(file.path)
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".config.json.")
    try:
        with os.fdopen(descriptor, "w") as new:
            json.dump(document, new, indent="\t")
            new.write("\n")
            new.flush()
            os.fsync(new.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _bad(path: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path} {why}", details={"reason": "credential_file", "path": path})
