"""CURVE for the tcp socket: the router's own key, and the allow-list of clients.

Files are those of `zmq.auth` (ZPL, made with `python -m zmq.auth.certs` or `zmq.auth.create_certificates`). Without
both a key and a non-empty list tcp is refused: an open tcp socket would be root for everybody.
"""

from __future__ import annotations

import os
from typing import Any

import zmq.utils.z85

from wharfie.errors import FailedPrecondition


def server_keys(path: str) -> tuple[bytes, bytes]:
    """The public and secret key of a certificate file.

    Raises:
        FailedPrecondition: no file named, not readable by its owner only, or no secret key in it.
    """
    from zmq.auth import load_certificate

    if not path:
        raise FailedPrecondition("router.tcp_address is set without router.curve_server_key_file; tcp needs CURVE keys")
    try:
        mode = os.stat(path).st_mode
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise FailedPrecondition(f"router.curve_server_key_file '{path}' cannot be used: {error}") from None
    if mode & 0o077:
        raise FailedPrecondition(f"router.curve_server_key_file '{path}' is open to others; chmod 600 it")
    if secret is None:
        raise FailedPrecondition(f"router.curve_server_key_file '{path}' has no secret key")
    return public, secret


def allowed_keys(directory: str) -> frozenset[str]:
    """The public keys (Z85) of all certificates of a directory.

    Raises:
        FailedPrecondition: no directory named, or no key in it.
    """
    from zmq.auth import load_certificates

    if not directory:
        raise FailedPrecondition("router.tcp_address is set without router.curve_allowed_clients_dir")
    try:
        keys = frozenset(key.decode() for key in load_certificates(directory))
    except (OSError, ValueError) as error:
        raise FailedPrecondition(f"router.curve_allowed_clients_dir '{directory}' cannot be used: {error}") from None
    if not keys:
        raise FailedPrecondition(f"router.curve_allowed_clients_dir '{directory}' has no client key (*.key)")
    return keys


def answer_zap(request: list[bytes], allowed: frozenset[str], *, domain: bytes) -> list[bytes]:
    """The reply to a ZAP request (ZeroMQ RFC 27): 200 with the key as the user, or 400. Pure."""
    if len(request) < 7 or request[0] != b"1.0":
        return [b"1.0", request[1] if len(request) > 1 else b"", b"400", b"malformed request", b"", b""]
    _, number, asked, _address, _identity, mechanism, key, *_ = request
    try:
        text = zmq.utils.z85.encode(key).decode()
    except ValueError:
        text = ""
    if mechanism == b"CURVE" and asked == domain and text in allowed:
        return [b"1.0", number, b"200", b"OK", text.encode(), b""]
    return [b"1.0", number, b"400", b"unknown client key", b"", b""]


def make_certificate(directory: str, name: str) -> tuple[Any, Any]:
    """Write `name.key` and `name.key_secret` into a directory; returns both paths (for `wharfied` and tests)."""
    from zmq.auth import create_certificates

    return create_certificates(directory, name)
