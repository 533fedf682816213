"""Make an OCI archive of any size: the same bytes for the same arguments and the same busybox.

    python bench/make_image.py --files 10000 --bytes 200M --layers 1 /dev/shm/image.tar

A busybox (a static one, from --busybox) makes it an image that runs; without one the archive can only be imported
and unpacked. File sizes, directory depth and compressibility are like those of a Debian root.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any

APPLETS = ("cat", "echo", "env", "false", "id", "ls", "sh", "sleep", "test", "true", "uname", "wc", "yes")
MTIME = 1_700_000_000
CREATED = "2023-11-14T22:13:20Z"
FILES_PER_DIRECTORY = 8
DIRECTORIES_PER_DIRECTORY = 12
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

# One piece in eight is noise, the rest text of words that come back: 2.7 to 1 with gzip, as binaries and sources are.
_NOISE = 1 / 8
_POOL_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 4096


class Content:
    """Pseudo-random file contents from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        words = [self._random.randbytes(self._random.randint(1, 5)).hex().encode() for _ in range(2048)]
        frequency = [1 / rank for rank in range(1, len(words) + 1)]
        self._pool = b" ".join(self._random.choices(words, frequency, k=_POOL_BYTES // 7))

    def sizes(self, count: int, total: int) -> list[int]:
        """Return `count` sizes that add up to `total`, most of them small and a few large."""
        weights = [self._random.lognormvariate(0, 1.6) for _ in range(count)]
        scale = total / sum(weights)
        sizes = [int(weight * scale) for weight in weights]
        sizes[-1] += total - sum(sizes)
        return sizes

    def file(self, size: int) -> bytes:
        pieces = []
        while size > 0:
            piece = min(size, _PIECE_BYTES)
            if self._random.random() < _NOISE:
                pieces.append(self._random.randbytes(piece))
            else:
                start = self._random.randrange(len(self._pool) - piece)
                pieces.append(self._pool[start : start + piece])
            size -= piece
        return b"".join(pieces)


def directory_of(number: int) -> str:
    """Return the path of the directory with this number: three levels below /data."""
    high, low = divmod(number, DIRECTORIES_PER_DIRECTORY)
    return f"data/{high // DIRECTORIES_PER_DIRECTORY:03d}/{high % DIRECTORIES_PER_DIRECTORY:02d}/{low:02d}"


def entry(name: str, kind: bytes, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname, info.mtime = kind, mode, size, link, MTIME
    return info


def base_entries(busybox: str | None) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for name in ("bin", "dev", "etc", "proc", "root", "sys"):
        yield entry(name, tarfile.DIRTYPE, 0o755), b""
    yield entry("tmp", tarfile.DIRTYPE, 0o1777), b""
    for name, text in (
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ("etc/group", b"root:x:0:\nnogroup:x:65534:\n"),
    ):
        yield entry(name, tarfile.REGTYPE, 0o644, len(text)), text
    if busybox:
        with open(busybox, "rb") as file:
            program = file.read()
        yield entry("bin/busybox", tarfile.REGTYPE, 0o755, len(program)), program
        for applet in APPLETS:
            yield entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox"), b""


def data_entries(content: Content, numbers: range, total: int) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    seen: set[str] = set()
    for number, size in zip(numbers, content.sizes(len(numbers), total), strict=True):
        directory = directory_of(number // FILES_PER_DIRECTORY)
        parts = directory.split("/")
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in seen:
                seen.add(parent)
                yield entry(parent, tarfile.DIRTYPE, 0o755), b""
        yield entry(f"{directory}/file-{number:06d}", tarfile.REGTYPE, 0o644, size), content.file(size)


class _Hashing(io.RawIOBase):
    """Hands writes on to a file and hashes them."""

    def __init__(self, target: gzip.GzipFile) -> None:
        super().__init__()
        self._target = target
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return self._target.write(data)


def make_layer(entries: Iterator[tuple[tarfile.TarInfo, bytes]], level: int) -> tuple[bytes, str]:
    """Return the gzipped layer and its diff id."""
    blob = io.BytesIO()
    with gzip.GzipFile(fileobj=blob, mode="wb", compresslevel=level, mtime=0, filename="") as compressed:
        stream = _Hashing(compressed)
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
            for info, data in entries:
                tar.addfile(info, io.BytesIO(data))
    return blob.getvalue(), "sha256:" + stream.hash.hexdigest()


def make_layers(
    *, files: int, total: int, layers: int, busybox: str | None, seed: int, level: int
) -> Iterator[tuple[bytes, str]]:
    """Yield each layer with its diff id; the first also has what every root needs."""
    content = Content(seed)
    for index in range(layers):
        numbers = range(files * index // layers, files * (index + 1) // layers)
        size = total * (index + 1) // layers - total * index // layers

        def entries(
            index: int = index, numbers: range = numbers, size: int = size
        ) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
            if index == 0:
                yield from base_entries(busybox)
            yield from data_entries(content, numbers, size) if numbers else ()

        yield make_layer(entries(), level)


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def write_archive(target: IO[bytes], layers: Iterator[tuple[bytes, str]], *, name: str, architecture: str) -> None:
    """Write the OCI image layout as one tar file, blobs first and the index last."""
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT) as tar:

        def add(path: str, data: bytes) -> None:
            tar.addfile(entry(path, tarfile.REGTYPE, 0o644, len(data)), io.BytesIO(data))

        def blob(media_type: str, data: bytes) -> dict[str, object]:
            add(f"blobs/sha256/{digest(data)[7:]}", data)
            return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

        def document(value: object) -> bytes:
            return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

        add("oci-layout", document({"imageLayoutVersion": "1.0.0"}))
        descriptors, diff_ids = [], []
        for data, diff_id in layers:
            descriptors.append(blob(LAYER_TYPE, data))
            diff_ids.append(diff_id)
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": CREATED, "created_by": "bench/make_image.py"} for _ in diff_ids],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": blob(CONFIG_TYPE, document(config)),
            "layers": descriptors,
        }
        top = blob(MANIFEST_TYPE, document(manifest))
        top["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
        top["platform"] = {"architecture": architecture, "os": "linux"}
        add("index.json", document({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [top]}))


def size(text: str) -> int:
    """Parse a number of bytes: 4096, 64K, 200M or 1G."""
    units = {"K": 1024, "M": 1024**2, "G": 1024**3}
    return int(text[:-1]) * units[text[-1].upper()] if text[-1:].upper() in units else int(text)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=0, help="number of data files (default 0)")
    parser.add_argument("--bytes", type=size, default=0, help="their total size, K, M and G as suffixes (default 0)")
    parser.add_argument("--layers", type=int, default=1, help="number of layers that share them (default 1)")
    parser.add_argument("--name", default="localhost/bench:latest", help="the image's name in the index")
    parser.add_argument("--busybox", default="/bin/busybox", help="a static busybox; an empty string for none")
    parser.add_argument("--level", type=int, default=6, help="gzip level (default 6)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other contents")
    parser.add_argument("output", help="the archive to write, - for standard output")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    if options.busybox and not os.path.exists(options.busybox):
        print(f"busybox '{options.busybox}' not found; give --busybox PATH, or --busybox '' for none", file=sys.stderr)
        return 1
    layers = make_layers(
        files=options.files,
        total=options.bytes,
        layers=options.layers,
        busybox=options.busybox,
        seed=options.seed,
        level=options.level,
    )
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    with sys.stdout.buffer if options.output == "-" else open(options.output, "wb") as target:
        write_archive(target, layers, name=options.name, architecture=architecture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
