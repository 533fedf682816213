"""The erofs snapshotter: a layer is one read-only file-system image, written while its archive is read.

`layout`, `dirents`, `attributes` and `acl` are the format on the disk, `space` and `image` where things lie in a file
of it. `tree` holds the names of a layer, `layer` fills it from an archive, `upper` from a directory, `finishing` writes
it; `job` is what runs confined. `settle` fits directories that a layer does not describe to the layers below. `mounts`
shows images to the kernel, `backend` is the snapshotter.
"""
