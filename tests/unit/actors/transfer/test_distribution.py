from __future__ import annotations

from actors.transfer.distribution import SOURCE, mounts, sources, with_source
from wharfie.identifiers import LABEL_MAX_BYTES
from wharfie.reference import Reference

REF = Reference.parse("r.example:5000/team/app:1")
KEY = f"{SOURCE}r.example:5000"


def test_a_repository_is_added_once() -> None:
    assert with_source({}, REF) == {KEY: "team/app"}
    assert with_source({KEY: "other", f"{SOURCE}elsewhere": "x"}, REF) == {KEY: "other,team/app"}
    assert with_source({KEY: "a,team/app"}, REF) == {}


def test_the_oldest_go_when_there_is_no_room() -> None:
    many = ",".join(f"repository-{number:04d}" for number in range(270))
    (value,) = with_source({KEY: many}, REF).values()
    assert value.endswith(",team/app")
    assert not value.startswith("repository-0000,")
    assert len(KEY) + len(value) <= LABEL_MAX_BYTES


def test_mounts_are_of_the_same_host_and_the_nearest_comes_first() -> None:
    labels = {KEY: "far/away,team/base,team/app", f"{SOURCE}elsewhere": "team/app/x", "other": "label"}
    assert mounts(labels, REF) == ["team/base", "far/away"]
    assert mounts({}, REF) == []


def test_sources_are_references() -> None:
    labels = {KEY: "a,b", f"{SOURCE}docker.io": "library/busybox", "x": "y"}
    found = [(source.host, source.repository) for source in sources(labels)]
    assert found == [("r.example:5000", "a"), ("r.example:5000", "b"), ("docker.io", "library/busybox")]
