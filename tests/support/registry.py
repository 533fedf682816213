"""Debian's docker-registry on a loopback port, with its storage in a directory of the test's."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.support.wait import until

PROGRAM = shutil.which("docker-registry") or "/usr/bin/docker-registry"
USER, PASSWORD = "wharfie", "correct horse"
_HTPASSWD = "wharfie:$2y$04$cYqTqENeuKjZHuPsSdTtc.aXxvf0WiPscS7zTonIuQuoC1Z1mDgTO\n"
_LISTENING = re.compile(r'listening on (?:\S*?):(\d+)(?:,|"|\s|$)')

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Put(NamedTuple):
    """What was put: enough for a descriptor."""

    digest: str
    size: int


class TokenAuth(NamedTuple):
    """Who may sign tokens for the registry; see tests/support/tokenserver.py."""

    realm: str
    service: str
    issuer: str
    certificate: Path


class Registry:
    """A registry that runs while it is entered; stopped and started again it keeps its port and what it holds.

    Args:
        directory: for its configuration, log and storage; on tmpfs.
        basic: asks for `USER` and `PASSWORD`.
        token: asks for bearer tokens of this issuer.
        tls: certificate and key, in PEM.
        client_ca: with `tls`: clients have to show a certificate of this authority.
        address: to listen on.
    """

    def __init__(
        self,
        directory: Path,
        *,
        basic: bool = False,
        token: TokenAuth | None = None,
        tls: tuple[Path, Path] | None = None,
        client_ca: Path | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self.storage = directory / "storage"
        self.log = directory / "registry.log"
        self._basic, self._token, self._tls, self._client_ca = basic, token, tls, client_ca
        self._address = f"[{address}]" if ":" in address else address
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def host(self) -> str:
        """As it stands in a reference: `127.0.0.1:40001`."""
        return f"{self._address}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def start(self) -> None:
        """Start and wait until it listens."""
        self.storage.mkdir(parents=True, exist_ok=True)
        (self.directory / "htpasswd").write_text(_HTPASSWD)
        config = self.directory / "config.yml"
        # JSON is YAML.
        config.write_text(json.dumps(self._config()))
        with self.log.open("ab") as log:
            begin = log.tell()
            environment = {"PATH": os.environ["PATH"], "GOMAXPROCS": "2", "HOME": str(self.directory)}
            self._process = subprocess.Popen(
                [PROGRAM, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        process = self._process

        def port() -> int:
            text = self.log.read_bytes()[begin:].decode()
            if process.poll() is not None:
                raise RuntimeError(f"the registry ended with {process.returncode}: {text}")
            found = _LISTENING.search(text)
            return int(found[1]) if found else 0

        try:
            self.port = until(port, deadline_s=30)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _config(self) -> dict[str, Any]:
        http_section: dict[str, Any] = {"addr": f"{self._address}:{self.port}", "secret": "none"}
        if self._tls is not None:
            http_section["tls"] = {"certificate": str(self._tls[0]), "key": str(self._tls[1])}
            if self._client_ca is not None:
                http_section["tls"]["clientcas"] = [str(self._client_ca)]
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http_section,
        }
        if self._basic:
            config["auth"] = {"htpasswd": {"realm": "wharfie", "path": str(self.directory / "htpasswd")}}
        if self._token is not None:
            config["auth"] = {
                "token": {
                    "realm": self._token.realm,
                    "service": self._token.service,
                    "issuer": self._token.issuer,
                    "rootcertbundle": str(self._token.certificate),
                }
            }
        return config

    # For registries that ask for nothing: putting things in without our own client.

    def put_blob(self, repository: str, data: bytes) -> Put:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        _, headers, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/", expect=202)
        location = headers["location"].removeprefix(self.url)
        location += ("&" if "?" in location else "?") + f"digest={digest}"
        self.request("PUT", location, data, {"Content-Type": "application/octet-stream"}, expect=201)
        return Put(digest, len(data))

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str = MANIFEST) -> Put:
        path = f"/v2/{repository}/manifests/{reference}"
        self.request("PUT", path, data, {"Content-Type": media_type}, expect=201)
        return Put(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))

    def put_image(
        self, repository: str, tag: str, *layers: bytes, config: bytes = b"{}", layer_type: str = LAYER
    ) -> Put:
        """A manifest with a configuration and layers."""
        put = self.put_blob(repository, config)
        puts = [self.put_blob(repository, layer) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **put._asdict()},
            "layers": [{"mediaType": layer_type, **layer._asdict()} for layer in puts],
        }
        return self.put_manifest(repository, tag, json.dumps(manifest).encode())

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        expect: int | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request of a plain http registry: status, headers with lower-case names, body."""
        connection = http.client.HTTPConnection(self._address.strip("[]"), self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            data = response.read()
            if expect is not None and response.status != expect:
                raise AssertionError(f"{method} {path} was answered {response.status}: {data!r}")
            return response.status, {name.lower(): value for name, value in response.getheaders()}, data
        finally:
            connection.close()
