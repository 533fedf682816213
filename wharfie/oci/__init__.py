"""Documents of the Open Container Initiative and the runtime specification made from them.

What lives here is pure: bytes and values in, values out; no file is opened, no clock read. So a client can build a
specification exactly as the daemon does, and every rule is tested without a container.

- documents of an image: `descriptor`, `manifest`, `image_config`; what they tell: `platforms`, `chains`, `variants`,
  `history`
- the runtime specification (`config.json`): `spec`, from `options`, `process`, `user`, `capabilities`, `mounts`,
  `devices`, `seccomp`

Nothing is imported here: a process that only needs descriptors shall not carry the seccomp profile.
"""
