"""Instructions of a Dockerfile that change an image's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from actors.transfer.instructions import apply
from wharfie.errors import InvalidArgument

BASE: dict[str, Any] = {
    "Cmd": ["sh"],
    "Env": ["PATH=/bin", "A=old"],
    "ExposedPorts": {"1/tcp": {}},
    "Labels": {"a": "1"},
    "Volumes": {"/old": {}},
    "WorkingDir": "/srv",
}

NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("instruction", "changed"),
    [
        ('CMD ["a", "b c"]', {"Cmd": ["a", "b c"]}),
        ("cmd echo $HOME", {"Cmd": ["/bin/sh", "-c", "echo $HOME"]}),
        ("CMD [not json", {"Cmd": ["/bin/sh", "-c", "[not json"]}),
        ("CMD []", {"Cmd": []}),
        pytest.param(f"CMD {NESTED}", {"Cmd": ["/bin/sh", "-c", NESTED]}, id="nested beyond all measure"),
        ('ENTRYPOINT ["/init"]', {"Entrypoint": ["/init"], "Cmd": None}),
        ("ENTRYPOINT run it", {"Entrypoint": ["/bin/sh", "-c", "run it"], "Cmd": None}),
        ("ENV B=2 A='two words' C=\"x=y\"", {"Env": ["PATH=/bin", "A=two words", "B=2", "C=x=y"]}),
        ("ENV B all of this", {"Env": ["PATH=/bin", "A=old", "B=all of this"]}),
        ("ENV A=", {"Env": ["PATH=/bin", "A="]}),
        (
            "EXPOSE 80 53/udp 7000-7002",
            {"ExposedPorts": {p: {} for p in ("1/tcp", "80/tcp", "53/udp", "7000/tcp", "7001/tcp", "7002/tcp")}},
        ),
        ("LABEL b=2 a='x y'", {"Labels": {"a": "x y", "b": "2"}}),
        ("USER app:app", {"User": "app:app"}),
        ("STOPSIGNAL SIGQUIT", {"StopSignal": "SIGQUIT"}),
        ("VOLUME /a '/b c'", {"Volumes": {"/old": {}, "/a": {}, "/b c": {}}}),
        ('VOLUME ["/a", "/b"]', {"Volumes": {"/old": {}, "/a": {}, "/b": {}}}),
        ("WORKDIR /x/../y", {"WorkingDir": "/y"}),
        ("WORKDIR deeper", {"WorkingDir": "/srv/deeper"}),
        ("WORKDIR ../../..", {"WorkingDir": "/"}),
        ("WORKDIR //x", {"WorkingDir": "/x"}),
        ("  USER\tapp  ", {"User": "app"}),
    ],
)
def test_an_instruction_changes_what_it_is_about_and_nothing_else(instruction: str, changed: dict[str, Any]) -> None:
    config = {key: value.copy() if hasattr(value, "copy") else value for key, value in BASE.items()}
    apply(config, instruction)
    expected = {key: value for key, value in {**BASE, **changed}.items() if value is not None}
    assert config == expected


def test_a_configuration_that_says_nothing_is_begun() -> None:
    config: dict[str, Any] = {"Env": None, "Labels": None, "Volumes": None, "ExposedPorts": None, "WorkingDir": ""}
    for instruction in ("ENV A=1", "LABEL a=1", "VOLUME /v", "EXPOSE 1", "WORKDIR w"):
        apply(config, instruction)
    assert config == {
        "Env": ["A=1"],
        "Labels": {"a": "1"},
        "Volumes": {"/v": {}},
        "ExposedPorts": {"1/tcp": {}},
        "WorkingDir": "/w",
    }


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "RUN x",
        "FROM x",
        "CMD",
        "CMD [1]",
        "ENV A",
        "ENV =1",
        "ENV A=1 B",
        "ENV A='open",
        "EXPOSE http",
        "EXPOSE 0",
        "EXPOSE 65536",
        "EXPOSE 9-8",
        "EXPOSE 80/icmp",
        "LABEL a",
        "USER a b",
        "STOPSIGNAL a b",
        'VOLUME [""]',
        'VOLUME ""',
    ],
)
def test_what_is_malformed_is_refused_by_its_text(instruction: str) -> None:
    config = dict(BASE)
    with pytest.raises(InvalidArgument, match="is malformed") as caught:
        apply(config, instruction)
    assert caught.value.details["field"] == "changes"
    assert config == BASE
