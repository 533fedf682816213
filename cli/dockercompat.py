"""An image as `docker image inspect` tells of it, for programs that were written for that. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from actors.transfer.naming import repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wharfie._sync.imagefacts import Checked
    from wharfie.oci.variants import Variant
    from wharfie.types.images import Image


def inspected(
    checked: Checked, variant: Variant, config: Mapping[str, Any], *, images: Iterable[Image], bytes_unpacked: int
) -> dict[str, Any]:
    """One image for one platform.

    Args:
        checked: the image.
        variant: the platform's manifest.
        config: its configuration, as it stands.
        images: all images of the namespace: others may have the same content.
        bytes_unpacked: of its layers; 0 when they are not unpacked.
    """
    target = checked.image.target.digest
    names = [image.name for image in images if image.target.digest == target]
    tags = [name for name in names if "@" not in name]
    repositories = {repository(name) for name in tags}
    architecture, variant_name = config.get("architecture", ""), config.get("variant", "")
    return {
        "Id": variant.required[1].digest if len(variant.required) > 1 else variant.manifest.digest,
        "RepoTags": tags,
        "RepoDigests": sorted({f"{name}@{target}" for name in repositories} | {name for name in names if "@" in name}),
        "Comment": next((entry.get("comment", "") for entry in reversed(config.get("history") or []) if entry), ""),
        "Created": config.get("created", ""),
        "Author": config.get("author", ""),
        "Config": config.get("config") or {},
        "Architecture": architecture,
        **({"Variant": variant_name} if variant_name else {}),
        "Os": config.get("os", ""),
        "Size": bytes_unpacked or variant.present_bytes,
        "RootFS": {"Type": "layers", "Layers": list(variant.diff_ids)},
        "Metadata": {"LastTagTime": _time(checked.image.updated_at_ns)},
    }


def _time(at_ns: int) -> str:
    return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
