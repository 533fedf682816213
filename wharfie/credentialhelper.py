"""Credential helpers: programs named `docker-credential-NAME` that keep a user's secrets for docker and its like.

The protocol is docker's: the verb is the argument, the host or a JSON object comes on standard input, a JSON object or
a sentence on standard output. Secrets never stand in arguments or in the environment.
"""

from __future__ import annotations

import json
import subprocess

from wharfie.errors import FailedPrecondition, Unavailable
from wharfie.types.registry import Credential

TIMEOUT_S = 30.0
TOKEN_USER = "<token>"  # noqa: S105
"""The user name by which a helper says that its secret is an identity token."""

_ABSENT = ("credentials not found", "no credentials server url", "not found in native keychain")
_ANSWER_BYTES_MAX = 1 << 20


def get(name: str, key: str, *, timeout_s: float = TIMEOUT_S) -> Credential | None:
    """Ask a helper for what it has of a host; None when it knows no such host.

    Args:
        name: of the helper, without `docker-credential-`.
        key: the host as these programs call it.
        timeout_s: for its answer; then it is killed.

    Raises:
        FailedPrecondition: it is not there, failed, or answered what cannot be understood.
        Unavailable: it did not answer in time.
    """
    done = _run(name, "get", key, timeout_s=timeout_s)
    if done.returncode:
        if _is_absent(done):
            return None
        raise _failed(name, _said(done))
    try:
        answer = json.loads(done.stdout[:_ANSWER_BYTES_MAX])
        username, secret = answer["Username"], answer["Secret"]
        if not isinstance(username, str) or not isinstance(secret, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _failed(name, "its answer is no JSON with 'Username' and 'Secret'") from error
    if not secret:
        return None
    if username == TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username=username, password=secret)


def store(name: str, key: str, credential: Credential, *, timeout_s: float = TIMEOUT_S) -> None:
    """Have a helper keep a credential in place of the one it has. Idempotent; errors as `get`."""
    token = credential.identity_token
    body = {
        "ServerURL": key,
        "Username": TOKEN_USER if token else credential.username,
        "Secret": token or credential.password,
    }
    done = _run(name, "store", json.dumps(body), timeout_s=timeout_s)
    if done.returncode:
        raise _failed(name, _said(done))


def erase(name: str, key: str, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Have a helper forget a host; returns whether it knew it, as far as it tells. Idempotent; errors as `get`."""
    done = _run(name, "erase", key, timeout_s=timeout_s)
    if done.returncode and not _is_absent(done):
        raise _failed(name, _said(done))
    return not done.returncode


def _run(name: str, verb: str, text: str, *, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    program = f"docker-credential-{name}"
    if "/" in name or not name.isprintable():
        raise _failed(name, "a helper's name has no '/' in it")
    try:
        return subprocess.run([program, verb], input=text.encode(), capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"credential helper '{program}' did not answer within {timeout_s:g} s",
            details={"reason": "credential_helper", "helper": name},
            retryable=True,
        ) from None
    except OSError as error:
        raise _failed(name, f"{(error.strerror or str(error)).lower()}; is it on PATH?") from error


def _is_absent(done: subprocess.CompletedProcess[bytes]) -> bool:
    return any(words in _said(done).lower() for words in _ABSENT)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Helpers say what is wrong on stdout; some on stderr."""
    text = (done.stdout.strip() or done.stderr.strip())[:300].decode(errors="replace")
    return " ".join(text.split()) or f"it ended with {done.returncode}"


def _failed(name: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"credential helper 'docker-credential-{name}' failed: {why}",
        details={"reason": "credential_helper", "helper": name},
    )
