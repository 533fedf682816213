from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.failures import Refusal, failure
from wharfie import errors


def refused(status: int, body: bytes = b"", **more: object) -> errors.WharfieError:
    return failure(Refusal("r.example", "manifest '1' of 'a/b'", status, body, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, errors.InvalidArgument, False),
        (401, errors.PermissionDenied, False),
        (403, errors.PermissionDenied, False),
        (404, errors.NotFound, False),
        (405, errors.Unimplemented, False),
        (408, errors.Unavailable, True),
        (410, errors.NotFound, False),
        (413, errors.ResourceExhausted, False),
        (416, errors.OutOfRange, False),
        (418, errors.InvalidArgument, False),
        (429, errors.ResourceExhausted, True),
        (500, errors.Unavailable, True),
        (503, errors.Unavailable, True),
        (204, errors.FailedPrecondition, False),
        (302, errors.FailedPrecondition, False),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[errors.WharfieError], retryable: bool) -> None:
    error = refused(status)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.details["host"] == "r.example"
    assert error.details["status"] == status
    assert error.details["reason"].startswith("registry_")
    assert "registry 'r.example'" in str(error)
    assert "manifest '1' of 'a/b'" in str(error)


def test_the_registrys_own_words_are_in_the_sentence() -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "not yours", "detail": [1, {}]}]}).encode()
    error = refused(403, body)
    assert "denied: not yours" in str(error)
    assert error.details["codes"] == ["DENIED"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"details":"incorrect username"}', "incorrect username"),
        (b'{"error":"invalid_grant","error_description":"gone"}', "invalid_grant: gone"),
        (b'{"message":"no"}', "no"),
        (b"just text", "just text"),
    ],
)
def test_other_shapes_of_words_are_read_too(body: bytes, words: str) -> None:
    assert f"(401, {words})" in str(refused(401, body))


@pytest.mark.parametrize("body", [b"", b"<html>very long page</html>", b"  "])
def test_what_is_for_browsers_is_left_out(body: bytes) -> None:
    assert "(401)" in str(refused(401, body))


def test_a_login_is_the_remedy_for_nobody_and_a_new_one_for_somebody() -> None:
    assert "wharfie login r.example" in str(refused(401))
    assert "does not accept user 'me'" in str(refused(401, user="user 'me'"))


def test_tls_at_the_other_end_is_recognised() -> None:
    error = refused(400, b"Client sent an HTTP request to an HTTPS server.\n")
    assert isinstance(error, errors.FailedPrecondition)
    assert 'server = "https://r.example"' in str(error)


def test_a_rate_limit_told_by_code_is_one() -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
    error = refused(403, body, retry_after_s=None)
    assert isinstance(error, errors.PermissionDenied)
    assert isinstance(refused(400, body), errors.ResourceExhausted)


@given(st.integers(100, 599), st.binary(max_size=300))
def test_any_answer_gives_one_line_without_control_characters(status: int, body: bytes) -> None:
    assert str(refused(status, body)).isprintable()
