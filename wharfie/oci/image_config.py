"""The image configuration: what the maker of an image wants its containers to run.

Written by many tools over ten years, so it is read tolerantly: unknown fields are ignored, `null` is absent. It is
still hostile input: sizes and types are checked, and paths in it are only ever used inside the container's root.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wharfie.errors import InvalidArgument

MAX_CONFIG_BYTES = 8 * 1024 * 1024


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The `config` object: defaults for the containers of this image."""

    user: str | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    volumes: dict[str, Any] | None = None
    exposed_ports: dict[str, Any] | None = None


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of the layers' *uncompressed* tars, the lowest first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] | None = None


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document that a manifest's `config` descriptor names."""

    architecture: str = ""
    os: str = ""
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    config: ContainerConfig | None = None
    rootfs: RootFs | None = None


def decode_image_config(data: bytes) -> ImageConfig:
    """Decode an image configuration.

    Raises:
        InvalidArgument: not JSON, too large, or a field of another type than the specification gives it.

    """
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidArgument(f"image configuration has {len(data)} bytes, more than {MAX_CONFIG_BYTES}")
    try:
        return msgspec.json.decode(data, type=ImageConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"image configuration is malformed: {error}") from error
