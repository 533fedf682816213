"""Platforms, as the actors name them; see `wharfie.oci.platforms`, which clients use, too."""

from __future__ import annotations

from wharfie.oci.platforms import host, normalized, parse, rank, shown

__all__ = ["host", "normalized", "parse", "rank", "shown"]
