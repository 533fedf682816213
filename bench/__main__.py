"""`make bench`: Wharfie beside Debian's containerd, on tmpfs, in one run; ratios printed and written to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import wharfie
from bench import blobs, collection, crash, images, lives, memory, pulls, records, snapshots, wire
from bench.daemons import ROOT, Containerd, Wharfied, version_of
from bench.figure import HEAD, Figure

GROUPS = (
    "start",
    "wire",
    "lives",
    "cli",
    "snapshots",
    "records",
    "blobs",
    "collection",
    "images",
    "pulls",
    "memory",
    "crash",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS), help="groups to measure")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the bench starts containers: run it as root")
    for program in ("containerd", "ctr", "runc"):
        if shutil.which(program) is None:
            sys.exit(f"'{program}' is missing; apt-get install containerd runc (make bench does it)")
    from bench import containerdapi

    containerdapi.generate()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-", dir="/dev/shm") as directory:
        ours, theirs = Wharfied(f"{directory}/w"), Containerd(f"{directory}/c")
        try:
            starts = ours.start(), theirs.start()
            if "start" in options.only:
                figures.append(
                    Figure(
                        name="start to ready",
                        ours=starts[0],
                        unit="s",
                        peer=None,
                        limit=0.6,
                        floor=f"containerd {starts[1]:.3f} s",
                    )
                )
                time.sleep(3)
                figures += memory.idle(ours, theirs)
            if "wire" in options.only:
                figures += wire.measure(ours, theirs, f"{directory}/z")
            with wharfie.connect(ours.address) as client:
                small = images.small(directory)
                client.images.import_(small, names=["bench:latest"])
            subprocess.run(theirs.ctr("image", "import", "--no-unpack", small), check=True, stdout=subprocess.DEVNULL)
            parent = images.unpack_in_containerd(theirs)
            if "lives" in options.only:
                figures += lives.measure(ours, theirs, parent, directory)
            if "cli" in options.only:
                figures += lives.commands(ours, theirs)
            if "memory" in options.only:
                figures += memory.at_fifty(ours, theirs, parent)
            if "snapshots" in options.only:
                figures += snapshots.measure(ours, theirs)
            if "records" in options.only:
                figures += records.measure(ours, theirs)
            if "blobs" in options.only:
                figures += blobs.measure(ours, theirs)
            if "images" in options.only:
                figures += images.measure(ours, theirs, directory)
            if "collection" in options.only:
                figures += collection.measure(ours)
            if "pulls" in options.only:
                figures += pulls.measure(ours, theirs, directory)
            if "crash" in options.only:
                figures += crash.measure(ours)
        finally:
            ours.stop()
            theirs.stop()
    table = "\n".join([HEAD, *(figure.row() for figure in figures)])
    print(table)
    if options.write:
        write(table)
    return 0


def write(table: str) -> None:
    with open(os.path.join(ROOT, "docs", "benchmarks.md"), "w") as file:
        file.write(
            "# Benchmarks\n\nMade by `make bench`: both daemons on tmpfs, in one run, measured by turns. Quote the ratios: "
            'the machine is shared and its times move by a third within an hour. "containerd" is its API through grpcio '
            "on one open channel, unless the row says `ctr`.\n\n"
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, kernel {platform.release()}, Python "
            f"{platform.python_version()}, {version_of(['containerd', '--version'])}, {version_of(['runc', '--version'])}.\n\n"
            f"{table}\n\n"
            "Rows without a bound are there to know the whole: `version` is answered by the router itself, any other call by "
            "a worker behind it. Proportional sizes (Pss) depend on who else has the same program or library mapped: "
            "other Python programs make our figure smaller, another containerd makes containerd's.\n"
        )


if __name__ == "__main__":
    sys.exit(main())
