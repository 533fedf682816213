from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.errors import InvalidArgument
from wharfie.reference import NAME_MAX_LENGTH, Reference, api_host

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("busybox@" + DIGEST, "docker.io/library/busybox@" + DIGEST),
        ("busybox:1@" + DIGEST, "docker.io/library/busybox:1@" + DIGEST),
        ("a/b", "docker.io/a/b:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("registry-1.docker.io/library/x", "docker.io/library/x:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:5000/x:y", "localhost:5000/x:y"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("[2001:db8::1]/x", "[2001:db8::1]/x:latest"),
        ("registry.example/x", "registry.example/x:latest"),
        ("Host/x", "Host/x:latest"),
        ("a__b/c-d/e.f---g", "docker.io/a__b/c-d/e.f---g:latest"),
        ("x:V1_.-", "docker.io/library/x:V1_.-"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
    ],
)
def test_a_reference_means_what_it_means_to_docker(text: str, name: str) -> None:
    found = Reference.parse(text)
    assert found.name == name
    assert Reference.parse(name) == found
    assert str(found) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/x",
        "x/",
        "a//b",
        "A",
        "a/B",
        "-x",
        "x-",
        "a..b/c",
        "a___b",
        "_x",
        "x:",
        "x:-y",
        "x:y:z",
        "x:a/b",
        "x: y",
        "x\n",
        "x:1\n",
        "x@",
        "x@sha256:short",
        f"x@{DIGEST.upper()}",
        f"x@md5:{'0' * 32}",
        f"x@{DIGEST}@{DIGEST}",
        f"@{DIGEST}",
        "https://registry.example/x",
        "me@registry.example/x",
        "localhost:port/x",
        "localhost:/x",
        "-host.example/x",
        "[::1/x",
        "[x]/y",
        "ü",
        "a b",
        "x:" + "t" * 129,
        "r.example/" + "x" * NAME_MAX_LENGTH,
        "x" * 100_000,
        "a-" * 400 + "!",
    ],
)
def test_what_is_no_reference_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Reference.parse(text)
    assert caught.value.details["field"] == "ref"
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["me:my-secret@r.example/x", "https://me:my-secret@r.example/x:1"])
def test_a_password_that_was_put_before_the_host_is_not_shown(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"…@r\.example") as caught:
        Reference.parse(text)
    assert "my-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/a/b:1", "a/b:1"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
        ("docker.io/localhost/b:1", "docker.io/localhost/b:1"),
        ("docker.io/a.b/c:1", "docker.io/a.b/c:1"),
        ("r.example/library/x:1", "r.example/library/x:1"),
    ],
)
def test_the_familiar_form_is_the_shortest_that_means_the_same(text: str, familiar: str) -> None:
    found = Reference.parse(text)
    assert found.familiar == familiar
    assert Reference.parse(familiar) == found


def test_the_digest_is_what_is_asked_for() -> None:
    assert Reference.parse(f"x:1@{DIGEST}").object == DIGEST
    assert Reference.parse("x:1").object == "1"
    assert Reference.parse("x:1").with_digest(DIGEST).name == f"docker.io/library/x@{DIGEST}"


def test_docker_hub_has_its_registry_elsewhere() -> None:
    assert api_host(Reference.parse("x").host) == "registry-1.docker.io"
    assert api_host("r.example:5000") == "r.example:5000"


COMPONENT = st.from_regex(r"[a-z0-9]{1,5}([._]|__|-{1,3})?[a-z0-9]{1,5}", fullmatch=True)
HOST = st.sampled_from(["docker.io", "localhost", "localhost:5000", "r.example", "[::1]:5000", "10.0.0.1", "X:1"])
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(HOST, st.lists(COMPONENT, min_size=1, max_size=4), TAG | st.just(""), st.sampled_from(["", DIGEST]))
def test_parse_and_name_are_inverse(host: str, parts: list[str], tag: str, digest: str) -> None:
    text = f"{host}/{'/'.join(parts)}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    found = Reference.parse(text)
    assert found.host == host
    assert found.repository == ("library/" if host == "docker.io" and len(parts) == 1 else "") + "/".join(parts)
    assert found.digest == digest
    assert found.tag == (tag or ("" if digest else "latest"))
    assert Reference.parse(found.name) == found
    assert Reference.parse(found.familiar) == found


@given(st.text(alphabet="ab.:/@-_[]A0 sha256", max_size=40) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused_and_parsing_again_changes_nothing(text: str) -> None:
    try:
        found = Reference.parse(text)
    except InvalidArgument:
        return
    assert Reference.parse(found.name) == found
    assert found.repository
    assert found.tag or found.digest
