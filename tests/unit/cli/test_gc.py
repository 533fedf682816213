"""What `wharfie gc` prints."""

from __future__ import annotations

import pytest

from cli.gc import collected, explanation, print_orphans
from wharfie.types.gc import Collected, Explanation, Link, Orphan, Orphans

BLOB = Link(type="content", id="sha256:a")


def test_only_what_went_is_counted() -> None:
    done = Collected(blobs=2, files=1, bytes=2048, seconds=0.25, longest_pause_s=0.0031)
    assert collected(done) == "Blobs: 2\nFiles: 1 (2 KiB)\nTook:  0.250 s, longest pause 3.1 ms\n"


def test_a_chain_leads_from_the_root_to_the_thing() -> None:
    chains = [[Link(type="images", id="app"), BLOB], [BLOB]]
    assert explanation(Explanation(type="content", id="sha256:a", chains=chains, roots=3)).splitlines() == [
        "content sha256:a is held by 3 roots",
        "  images app -> content sha256:a",
        "  itself: it is a root",
        "  … and 1 more",
    ]


def test_what_nobody_holds_is_told() -> None:
    assert (
        explanation(Explanation(type="images", id="x")) == "images x is held by nobody; the next collection takes it\n"
    )


def test_orphans_are_a_table_or_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_orphans(Orphans())
    assert capsys.readouterr().out == "nothing is held by nobody\n"
    thing = Orphan(namespace="ci", type="content", id="sha256:a", size=1024)
    print_orphans(Orphans(things=[thing], files=["sha256:b"], directories=["overlayfs/7"]))
    rows = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["NAMESPACE", "TYPE", "ID", "SIZE"],
        ["ci", "content", "sha256:a", "1", "KiB"],
        ["-", "file", "sha256:b", "-"],
        ["-", "directory", "overlayfs/7", "-"],
    ]
