"""The wheel: nothing but `wharfie` in site-packages, and both programs start from it (docs/adr/0001)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.support import sources
from tests.support.wait import until
from wharfie.methods import WORKERS
from wharfie.version import __version__


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """A directory as site-packages would be: the wheel, and PyPI's `supervisor`, which has that package too."""
    with tempfile.TemporaryDirectory(prefix="wharfie-wheel-", dir="/dev/shm") as directory:
        built, target = Path(directory, "built"), Path(directory, "site")
        _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(built), cwd=sources.ROOT)
        (wheel,) = built.glob("*.whl")
        install = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
        _python("-m", "pip", *install, "--target", str(target), str(wheel), cwd=target.parent)
        foreign = target / "supervisor"
        foreign.mkdir()
        (foreign / "__init__.py").write_text("OWNER = 'somebody else'\n")
        yield target


def _python(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_but_wharfie_lies_in_site_packages(site: Path) -> None:
    found = {entry.name for entry in site.iterdir()}
    assert found == {"wharfie", f"wharfie-{__version__}.dist-info", "bin", "supervisor"}
    assert {entry.name for entry in (site / "bin").iterdir()} == {"wharfie", "wharfied"}
    assert {entry.name for entry in (site / "wharfie" / "_daemon").iterdir()} >= {"supervisor", "actors", "linux"}


def test_every_module_is_in_the_wheel(site: Path) -> None:
    for name, path in sources.modules().items():
        place = path.relative_to(sources.ROOT)
        below = place if place.parts[0] == "wharfie" else Path("wharfie", "_daemon", place)
        assert (site / below).exists(), name
    assert (site / "wharfie" / "py.typed").exists()


@pytest.mark.parametrize("program", ["wharfie", "wharfied"])
def test_both_programs_start_beside_a_package_of_the_same_name(site: Path, program: str) -> None:
    assert __version__ in _python(str(site / "bin" / program), "--version", cwd=site.parent, path=site)


def test_the_daemon_finds_its_own_packages_and_others_find_theirs(site: Path) -> None:
    ours = "import wharfie._entry as e; e._daemon_path(); import supervisor.decide as d; print(d.__file__)"
    assert _python("-c", ours, cwd=site.parent, path=site).startswith(f"{site}/wharfie/_daemon/")
    theirs = "import wharfie, supervisor; print(supervisor.OWNER)"
    assert _python("-c", theirs, cwd=site.parent, path=site) == "somebody else\n"


def test_a_program_that_imports_wharfie_sees_none_of_the_daemons_packages(site: Path) -> None:
    """`linux` or `config` on the path of a program that only asks would shadow its own."""
    code = (
        "import sys; sys.path = [p for p in sys.path if p != sys.argv[1]]\n"
        "import wharfie, importlib.util as u\n"
        "assert wharfie.__file__.startswith(sys.argv[2]), wharfie.__file__\n"
        "print([n for n in ('linux', 'config', 'shim', 'actors', 'cli') if u.find_spec(n)])\n"
    )
    assert _python("-c", code, str(sources.ROOT), str(site), cwd=site.parent, path=site) == "[]\n"


@pytest.mark.root
def test_the_daemon_boots_from_the_wheel(site: Path, tmp_path: Path) -> None:
    """Its children are forked and find their code by dotted names, which has to be the wheel's."""
    state = tmp_path / "state"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    daemon = subprocess.Popen(
        [sys.executable, str(site / "bin" / "wharfied"), "--root", str(tmp_path / "root"), "--state", str(state)],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        with wharfie.connect(f"{state}/wharfie.sock", connect_timeout_s=20) as client:
            until(lambda: all(actor.state == "ready" for actor in client.supervisor.list()))
            started = {actor.name for actor in client.supervisor.list()}
    finally:
        daemon.terminate()
    assert daemon.wait(20) == 0
    assert started == {"router", *WORKERS}
