"""`wharfie lease` and `wharfie gc` against a real daemon."""

from __future__ import annotations

from tests.support.commandline import Shell


def test_a_lease_holds_what_a_command_makes_until_it_is_given_up(shell: Shell) -> None:
    mine = Shell(shell.address, "garbage")
    assert mine.ok("lease", "create", "--id", "job", "--expires", "1h", "team=build") == "job\n"
    assert mine.run("lease", "create", "--id", "job").code == 1
    refused = mine.run("lease", "create", "--expires", "100000000h")
    assert (refused.code, refused.err.startswith("error: a lease cannot expire in 3.6e+11 s")) == (1, True)
    assert mine.ok("lease", "create", "--id", "long", "--expires", "10000000h") == "long\n"
    assert mine.ok("lease", "rm", "long") == "long\n"
    digest = mine.ok("--lease", "job", "content", "ingest", "up", stdin=b"leased").strip()
    header, row = mine.ok("lease", "ls").splitlines()
    assert header.split() == ["ID", "CREATED", "AT", "EXPIRES", "AT", "LABELS"]
    assert row.split()[0] == "job"
    assert row.endswith("team=build")
    assert mine.json("lease", "resources", "job") == [{"type": "content", "id": digest}]
    assert mine.ok("lease", "add", "job", "images:busybox:1", "snapshots/native:k") == (
        "images:busybox:1\nsnapshots/native:k\n"
    )
    assert mine.run("lease", "add", "job", "streams:x").code == 1
    assert mine.ok("lease", "drop", "job", "snapshots/native:k") == "snapshots/native:k\n"
    assert ["images", "busybox:1"] in [line.split() for line in mine.ok("lease", "resources", "job").splitlines()]
    assert mine.ok("lease", "label", "job", "team=").startswith("containerd.io/gc.expire=")
    assert mine.ok("gc", "--explain", digest).splitlines() == [
        f"content {digest} is held by 1 root",
        f"  leases job -> content {digest}",
    ]
    assert digest not in mine.ok("gc", "--orphans")
    assert mine.ok("lease", "rm", "--sync", "job") == "job\n"
    assert mine.ok("content", "ls", "-q") == ""
    assert mine.run("gc", "--explain", digest).code == 1


def test_a_collection_tells_what_went(shell: Shell) -> None:
    assert "Took:" in shell.ok("gc")
    assert shell.json("gc")["seconds"] > 0
    assert shell.run("gc", "--orphans", "--explain", "x").code == 2


def test_an_unknown_lease_is_one_error_line(shell: Shell) -> None:
    done = shell.run("--lease", "nobody", "content", "ingest", "up", stdin=b"x")
    assert (done.code, done.err.startswith("error: lease 'nobody' not found")) == (1, True)
