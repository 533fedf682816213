"""Unpacking one layer: fast, and safe whatever the archive says.

From the blob to the tree: `compression` turns bytes of the blob into bytes of a tar stream, `layerstream` does that
and the hashing in threads, `bytestream` gives the stream out in the pieces that `archive` (with `header`, `pax` and
`sparse`) asks for, `extract` applies one entry after the other below a directory (with `directories`, `whiteouts` and
`xattrs`). `layer.unpack_layer` is the whole of it, `sandbox` what a process gives up before it does that for a
stranger.
"""
