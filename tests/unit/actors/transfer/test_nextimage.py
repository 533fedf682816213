"""The documents of an image with one more layer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.transfer import nextimage
from actors.transfer.nextimage import Step
from wharfie.errors import InvalidArgument
from wharfie.oci import descriptor as oci
from wharfie.oci.manifest import Manifest, decode_manifest

LAYER = oci.Descriptor(media_type=oci.MEDIA_TYPE_LAYER_GZIP, digest="sha256:" + "1" * 64, size=10)
STEP = Step(layer=LAYER, diff_id="sha256:new", created_at_ns=1_600_000_000_500_000_000, created_by="sh -c x")


def config(base: dict[str, Any] | None, step: Step = STEP) -> dict[str, Any]:
    made = json.loads(nextimage.config(None if base is None else json.dumps(base).encode(), step))
    assert isinstance(made, dict)
    return made


def test_what_the_base_says_is_kept_and_the_layer_is_added() -> None:
    base = {
        "architecture": "amd64",
        "os": "linux",
        "os.features": ["x"],
        "config": {"Cmd": ["sh"], "Healthcheck": {"Test": ["CMD"]}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:old"]},
        "history": [{"created_by": "old"}, {"created_by": "ENV", "empty_layer": True}],
    }
    made = config(base, Step(**{**dict_of(STEP), "author": "me", "message": "why", "changes": ["USER app"]}))
    assert made == {
        **base,
        "created": "2020-09-13T12:26:40.5Z",
        "author": "me",
        "config": {"Cmd": ["sh"], "Healthcheck": {"Test": ["CMD"]}, "User": "app"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:old", "sha256:new"]},
        "history": [
            *base["history"],
            {"created": "2020-09-13T12:26:40.5Z", "created_by": "sh -c x", "author": "me", "comment": "why"},
        ],
    }


def dict_of(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in step.__struct_fields__}


def test_a_history_that_says_too_little_is_filled_up() -> None:
    made = config({"rootfs": {"diff_ids": ["a", "b"]}, "history": [{"created_by": "one"}]})
    assert [entry.get("created_by", "") for entry in made["history"]] == ["one", "", "sh -c x"]


def test_without_a_base_the_image_is_for_this_machine() -> None:
    made = config(None)
    assert made["os"] == "linux"
    assert made["architecture"]
    assert made["rootfs"]["diff_ids"] == ["sha256:new"]
    assert len(made["history"]) == 1


@pytest.mark.parametrize(
    "base", [b"", b"[]", b"nonsense", b'{"config":[]}', b'{"history":{}}', b'{"rootfs":1}', b"[" * 100_000]
)
def test_a_base_that_is_malformed_is_refused(base: bytes) -> None:
    with pytest.raises(InvalidArgument, match="malformed"):
        nextimage.config(base, STEP)


def test_the_manifest_is_ocis_whatever_the_base_was() -> None:
    old = oci.Descriptor(
        media_type=oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, digest="sha256:" + "2" * 64, size=5, annotations={"k": "v"}
    )
    other = oci.Descriptor(media_type="application/x-own", digest="sha256:" + "3" * 64, size=6)
    target = oci.Descriptor(media_type=oci.MEDIA_TYPE_CONFIG, digest="sha256:" + "4" * 64, size=7)
    base = Manifest(media_type=oci.MEDIA_TYPE_DOCKER_MANIFEST, config=target, layers=(old, other))
    data = nextimage.manifest(base, config=target, layer=LAYER)
    made = decode_manifest(data, media_type=oci.MEDIA_TYPE_MANIFEST)
    assert [(one.media_type, one.digest, one.size) for one in made.layers] == [
        (oci.MEDIA_TYPE_LAYER_GZIP, old.digest, 5),
        ("application/x-own", other.digest, 6),
        (LAYER.media_type, LAYER.digest, 10),
    ]
    assert made.layers[0].annotations == {"k": "v"}
    assert (made.config, made.media_type) == (target, oci.MEDIA_TYPE_MANIFEST)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000000001Z"), (5 * 10**8, "1970-01-01T00:00:00.5Z")],
)
def test_times_have_as_many_digits_as_they_need(time_ns: int, text: str) -> None:
    assert nextimage.rfc3339(time_ns) == text


def test_a_time_that_no_calendar_has_is_refused() -> None:
    assert nextimage.rfc3339(253_402_300_799 * 10**9) == "9999-12-31T23:59:59Z"
    for seconds in (253_402_300_800, 2**63 - 1):
        with pytest.raises(InvalidArgument, match="9999"):
            nextimage.rfc3339(seconds * 10**9)
