from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.redaction import shown_text, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/v2/x", "https://a.example/v2/x"),
        ("https://me:secret@a.example:5000/v2/", "https://a.example:5000/v2/"),
        ("https://s3.example/blob?X-Amz-Signature=secret&x=1", "https://s3.example/blob?…"),
        ("http://[::1]:5000/x#secret", "http://[::1]:5000/x"),
        ("//me:secret@host/x", "host/x"),
        ("http://[bad/secret", "(a malformed URL)"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@given(st.text(max_size=2000))
def test_a_strangers_sentence_is_one_short_line_of_printable_characters(text: str) -> None:
    shown = shown_text(text)
    assert len(shown) <= 301
    assert shown.isprintable()
