"""Chain ids, as the actors name them; see `wharfie.oci.chains`, which clients use, too."""

from __future__ import annotations

from wharfie.oci.chains import chain_ids

__all__ = ["chain_ids"]
