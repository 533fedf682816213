"""Reading `hosts.toml` as containerd has it: mirrors in their order, then the server.

A key that is unknown or of the wrong kind is an error with the file and the key in it: a mirror that is silently not
used is found out late.
"""

from __future__ import annotations

import os
import tomllib
from typing import Any, Never

from actors.transfer.registry.host import ALL, Capability, Host, Tls, origin, split_http_url
from config.duration import parse_duration
from config.error import BadValue
from wharfie.errors import FailedPrecondition

_KEYS = frozenset({"capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout"})
_TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def read_hosts_file(path: str, *, own: Host, namespace: str) -> list[Host]:
    """The hosts of a file, in the order to ask them.

    Args:
        path: of the file; relative paths in it begin at its directory.
        own: the registry itself, for when the file names no `server`.
        namespace: the host in the reference.

    Raises:
        FailedPrecondition: it cannot be read, is no TOML, or a key is wrong.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(path, f"is no TOML: {error}") from error
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    reader = _Reader(path, namespace, own)
    return reader.hosts(document)


class _Reader:
    def __init__(self, path: str, namespace: str, own: Host) -> None:
        self._path = path
        self._directory = os.path.dirname(path)
        self._namespace = namespace
        self._own = own

    def hosts(self, document: dict[str, Any]) -> list[Host]:
        self._check_keys(document, _KEYS | {"server", "host"}, "")
        tables = document.get("host", {})
        if not isinstance(tables, dict):
            self._refuse("host", 'has to be tables such as [host."https://mirror.example"]')
        found = [self._host(url, table, where=f'host."{url}"') for url, table in tables.items()]
        return [*found, self._server(document)]

    def _server(self, document: dict[str, Any]) -> Host:
        server = document.get("server", "")
        if not isinstance(server, str):
            self._refuse("server", "has to be a URL in quotes")
        fields = {key: value for key, value in document.items() if key in _KEYS}
        if not server and not fields:
            return self._own
        return self._host(server or self._own.url.removesuffix("/v2"), fields, where="")

    def _host(self, url: str, table: Any, *, where: str) -> Host:
        if not isinstance(table, dict):
            self._refuse(where, "has to be a table")
        self._check_keys(table, _KEYS, where)
        prefix = f"{where}." if where else ""
        verbatim = self._boolean(table, "override_path", prefix)
        address = self._url(url, where or "server", verbatim=verbatim)
        tls = Tls(
            ca=self._paths(table, "ca", prefix),
            client=self._client(table, prefix),
            skip_verify=self._boolean(table, "skip_verify", prefix),
        )
        is_own = origin(address) == self._own.origin
        if is_own and not where and tls == Tls():
            # What lies beside the file as docker has it is for the registry itself.
            tls = self._own.tls
        return Host(
            url=address,
            capabilities=self._capabilities(table, prefix),
            tls=tls,
            header=self._header(table, prefix),
            dial_timeout_s=self._dial_timeout(table, prefix),
            namespace="" if is_own else self._namespace,
        )

    def _url(self, text: str, key: str, *, verbatim: bool) -> str:
        if "://" not in text:
            text = f"https://{text}"
        parts = split_http_url(text)
        if parts is None or parts.query or parts.fragment:
            self._refuse(key, "has to be a URL such as https://mirror.example:5000")
        if "@" in parts.netloc:
            self._refuse(key, "has a user or a password in its URL; log in with 'wharfie login' or use 'header'")
        path = parts.path.rstrip("/")
        if not verbatim and not path.endswith("/v2"):
            path += "/v2"
        return f"{parts.scheme}://{parts.netloc}{path}"

    def _capabilities(self, table: dict[str, Any], prefix: str) -> frozenset[Capability]:
        if "capabilities" not in table:
            return ALL
        names = self._strings(table["capabilities"], f"{prefix}capabilities")
        unknown = [name for name in names if name not in ALL]
        if unknown:
            self._refuse(f"{prefix}capabilities", f"has '{unknown[0]}'; known are {', '.join(Capability)}")
        return frozenset(Capability(name) for name in names)

    def _client(self, table: dict[str, Any], prefix: str) -> tuple[tuple[str, str], ...]:
        """A file with both, a list of such files, or a list of pairs."""
        value = table.get("client", [])
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list):
            self._refuse(f"{prefix}client", "has to be a path, or a list of paths or of pairs of paths")
        pairs = []
        for entry in entries:
            if isinstance(entry, str) and entry:
                pairs.append((self._path_of(entry), ""))
            elif isinstance(entry, list) and len(entry) in {1, 2} and all(isinstance(part, str) for part in entry):
                key = self._path_of(entry[1]) if len(entry) == 2 and entry[1] else ""
                pairs.append((self._path_of(entry[0]), key))
            else:
                self._refuse(f"{prefix}client", 'has an entry that is neither "file" nor ["certificate", "key"]')
        return tuple(pairs)

    def _header(self, table: dict[str, Any], prefix: str) -> tuple[tuple[str, str], ...]:
        value = table.get("header", {})
        if not isinstance(value, dict):
            self._refuse(f"{prefix}header", "has to be a table of header names and values")
        found = []
        for name, given in value.items():
            values = self._strings(given, f"{prefix}header.{name}")
            text = ", ".join(values)
            if not name or not _TOKEN_CHARACTERS.issuperset(name) or any(not char.isprintable() for char in text):
                # Not the value: it may be a secret.
                self._refuse(f"{prefix}header.{name!r}", "is no header of HTTP")
            found.append((name, text))
        return tuple(found)

    def _dial_timeout(self, table: dict[str, Any], prefix: str) -> float | None:
        value = table.get("dial_timeout")
        if value is None:
            return None
        try:
            found = parse_duration(value)
        except BadValue:
            found = 0.0
        if not 0 < found < 3600:
            self._refuse(f"{prefix}dial_timeout", 'has to be a duration such as "10s"')
        return found

    def _paths(self, table: dict[str, Any], key: str, prefix: str) -> tuple[str, ...]:
        return tuple(self._path_of(path) for path in self._strings(table.get(key, []), prefix + key))

    def _path_of(self, path: str) -> str:
        return os.path.join(self._directory, path)

    def _strings(self, value: Any, key: str) -> list[str]:
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(entry, str) and entry for entry in found):
            self._refuse(key, "has to be a string or a list of strings")
        return found

    def _boolean(self, table: dict[str, Any], key: str, prefix: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self._refuse(prefix + key, "has to be true or false")
        return value

    def _check_keys(self, table: dict[str, Any], known: frozenset[str], where: str) -> None:
        for key in table:
            if key not in known:
                self._refuse(f"{where}.{key}" if where else key, f"is unknown; known are {', '.join(sorted(known))}")

    def _refuse(self, key: str, why: str) -> Never:
        raise _wrong(self._path, f"{key} {why}", key=key)


def _wrong(path: str, why: str, *, key: str = "") -> FailedPrecondition:
    return FailedPrecondition(f"{path}: {why}", details={"reason": "hosts_file", "path": path, "key": key})
