"""How an image came to be, step by step, as its configuration tells it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.oci.descriptor import Descriptor


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step; a layer that the configuration does not tell of is a step of which nothing is known.

    Attributes:
        created: RFC 3339, as it was written; may be empty.
        created_by: the command.
        layer: what it added; None for a step that added no files.
        chain_id: the snapshot after it; empty where the layer is None.
    """

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    layer: Descriptor | None = None
    chain_id: str = ""


class _Entry(msgspec.Struct, frozen=True):
    """One entry of a configuration's `history`."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class _Configuration(msgspec.Struct, frozen=True):
    history: list[_Entry | None] | None = None


def steps(config: bytes, layers: Sequence[Descriptor], chain_ids: Sequence[str]) -> list[Step]:
    """The steps of an image, the first one first.

    Args:
        config: its configuration.
        layers: of its manifest, the lowest first.
        chain_ids: of the layers; may be fewer.

    Raises:
        InvalidArgument: the history is malformed.
    """
    try:
        told = msgspec.json.decode(config, type=_Configuration).history or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"history of the image configuration is malformed: {error}") from None
    entries = [entry or _Entry() for entry in told]
    filled = sum(1 for entry in entries if not entry.empty_layer)
    # The layers come from the manifest: what the history leaves out was there before it, what it has too much is empty.
    entries = [_Entry()] * max(0, len(layers) - filled) + entries
    rest = iter(zip(layers, [*chain_ids, *[""] * len(layers)], strict=False))
    found = []
    for entry in entries:
        layer, chain_id = (None, "") if entry.empty_layer else next(rest, (None, ""))
        found.append(
            Step(
                created=entry.created or "",
                created_by=entry.created_by or "",
                author=entry.author or "",
                comment=entry.comment or "",
                layer=layer,
                chain_id=chain_id,
            )
        )
    return found
