"""containerd through its API: grpcio on one channel kept open, stubs generated from Debian's .proto files at bench time."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

GOCODE = "/usr/share/gocode/src"
SERVICES = "github.com/containerd/containerd/api/services"
TYPES = "github.com/containerd/containerd/api/types"
STUBS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_stubs")
SERVED = ("containers", "content", "images", "leases", "snapshots", "tasks", "version")
SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"


def generate() -> None:
    """Make the stubs anew; they are never committed. Go's annotations (gogoproto) are cut out: they mean nothing here."""
    shutil.rmtree(STUBS, ignore_errors=True)
    wanted = [f"{SERVICES}/{name}/v1/{name}.proto" for name in SERVED]
    wanted += [f"{TYPES}/{name}.proto" for name in ("mount", "metrics", "descriptor", "task/task")]
    for proto in wanted:
        target = f"{STUBS}/{proto}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(f"{GOCODE}/{proto}") as source, open(target, "w") as file:
            text = re.sub(r"import (weak )?\"gogoproto[^\n]*\n", "", source.read())
            text = re.sub(r"import (weak )?\"[^\"]*fieldpath[^\n]*\n", "", text)
            text = re.sub(r"\s*\[[^\[\]]*gogoproto[^\[\]]*\]", "", text)
            text = re.sub(r"option \((gogoproto|containerd)[^\n]*\n", "", text)
            file.write(text)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{STUBS}",
            f"--python_out={STUBS}",
            f"--grpc_python_out={STUBS}",
            *wanted,
        ],
        check=True,
    )


class Api:
    """The services by name, in one namespace, and a task's whole life."""

    def __init__(self, address: str, namespace: str = "default") -> None:
        import grpc

        sys.path.insert(0, STUBS)
        self._channel = grpc.insecure_channel(f"unix://{address}", options=[("grpc.max_receive_message_length", -1)])
        self._metadata = (("containerd-namespace", namespace),)
        modules: dict[str, Any] = {}
        for name in SERVED:
            base = f"github.com.containerd.containerd.api.services.{name}.v1.{name}"
            modules[name] = importlib.import_module(f"{base}_pb2")
            stub_module = importlib.import_module(f"{base}_pb2_grpc")
            stub = getattr(stub_module, f"{name.capitalize()}Stub")
            setattr(self, name, stub(self._channel))
        self.pb = modules
        from google.protobuf import any_pb2, empty_pb2

        self._any = any_pb2.Any
        self._empty = empty_pb2.Empty

    def ask(self, service: str, method: str, request: str, **fields: Any) -> Any:
        """One call: `ask("snapshots", "Stat", "StatSnapshotRequest", key="k")`."""
        message = getattr(self.pb[service], request)(**fields)
        return getattr(getattr(self, service), method)(message, metadata=self._metadata)

    def stream(self, service: str, method: str, requests: Iterator[Any]) -> Any:
        """A call whose requests are a stream."""
        return getattr(getattr(self, service), method)(requests, metadata=self._metadata)

    def container(self, id_: str, spec: dict[str, Any]) -> Any:
        """A container's record."""
        pb = self.pb["containers"]
        return pb.Container(
            id=id_,
            image="bench",
            runtime=pb.Container.Runtime(name="io.containerd.runc.v2"),
            spec=self._any(type_url=SPEC_TYPE, value=json.dumps(spec).encode()),
            snapshotter="overlayfs",
            snapshot_key=id_,
        )

    def close(self) -> None:
        self._channel.close()

    def version_call(self) -> Any:
        return self.version.Version(self._empty(), metadata=self._metadata)  # type: ignore[attr-defined]

    def version_future(self) -> Any:
        return self.version.Version.future(self._empty(), metadata=self._metadata)  # type: ignore[attr-defined]

    def prepare(self, key: str, parent: str) -> Any:
        # Without a root or a lease its collector may take the snapshot before the container names it.
        request = self.pb["snapshots"].PrepareSnapshotRequest(
            snapshotter="overlayfs", key=key, parent=parent, labels={"containerd.io/gc.root": "bench"}
        )
        return self.snapshots.Prepare(request, metadata=self._metadata).mounts  # type: ignore[attr-defined]

    def life(self, id_: str, parent: str, spec: dict[str, Any]) -> int:
        """Prepare, create, start, wait, delete, remove; the exit code."""
        self.begin(id_, parent, spec)
        meta = self._metadata
        tasks, pb = self.tasks, self.pb  # type: ignore[attr-defined]
        status = tasks.Wait(pb["tasks"].WaitRequest(container_id=id_), metadata=meta).exit_status
        self.finish(id_)
        return int(status)

    def begin(self, id_: str, parent: str, spec: dict[str, Any]) -> int:
        meta, pb = self._metadata, self.pb
        mounts = self.prepare(id_, parent)
        container = self.container(id_, spec)
        self.containers.Create(pb["containers"].CreateContainerRequest(container=container), metadata=meta)  # type: ignore[attr-defined]
        tasks = self.tasks  # type: ignore[attr-defined]
        pid = tasks.Create(pb["tasks"].CreateTaskRequest(container_id=id_, rootfs=mounts), metadata=meta).pid
        tasks.Start(pb["tasks"].StartRequest(container_id=id_), metadata=meta)
        return int(pid)

    def finish(self, id_: str) -> None:
        meta, pb = self._metadata, self.pb
        self.tasks.Delete(pb["tasks"].DeleteTaskRequest(container_id=id_), metadata=meta)  # type: ignore[attr-defined]
        self.containers.Delete(pb["containers"].DeleteContainerRequest(id=id_), metadata=meta)  # type: ignore[attr-defined]
        request = pb["snapshots"].RemoveSnapshotRequest(snapshotter="overlayfs", key=id_)
        import grpc

        try:
            self.snapshots.Remove(request, metadata=meta)  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            # Its garbage collector may have been faster.
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise

    def kill(self, id_: str) -> None:
        pb = self.pb
        request = pb["tasks"].KillRequest(container_id=id_, signal=9)
        self.tasks.Kill(request, metadata=self._metadata)  # type: ignore[attr-defined]
        self.tasks.Wait(pb["tasks"].WaitRequest(container_id=id_), metadata=self._metadata)  # type: ignore[attr-defined]
