"""docs/protocol.md and docs/protocol-methods.md say what is so, and the example in them runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scripts.protocol_reference import BODIES, page
from supervisor.router import door
from tests.support import sources
from tests.support.storage import storage
from tests.unit.wharfie.test_methods import handlers
from wharfie import protocol
from wharfie.errors import Code
from wharfie.methods import METHODS, WORKERS, Mode
from wharfie.version import __version__

PROTOCOL = (sources.ROOT / "docs" / "protocol.md").read_text()
LINES_MAX = 40


def test_the_reference_of_methods_is_current() -> None:
    """`make docs` writes it."""
    assert (sources.ROOT / "docs" / "protocol-methods.md").read_text() == page()


def test_the_reference_has_every_method_that_clients_may_call() -> None:
    assert set(BODIES) == {name for name, rule in METHODS.items() if not rule.internal}
    assert {name for name, bodies in BODIES.items() if bodies.item is not None} == {
        name for name, rule in METHODS.items() if rule.mode is Mode.STREAM
    }


@pytest.mark.parametrize("worker", WORKERS)
def test_the_request_of_a_method_is_what_its_handler_takes(worker: str) -> None:
    for method, function in handlers(worker):
        if METHODS[method].internal:
            continue
        annotation = function.args.args[2].annotation
        assert annotation is not None
        name = sources.text_of(annotation).rpartition(".")[2]
        assert name == BODIES[method].request.__name__, method


def test_every_kind_code_header_and_limit_is_described() -> None:
    for kind in protocol.Kind:
        assert f"| `{kind}` |" in PROTOCOL
    for code in Code:
        assert f"| `{code}` |" in PROTOCOL
    for field in msgspec.structs.fields(protocol.Header):
        assert f"| `{field.name}` |" in PROTOCOL
    for field in msgspec.structs.fields(protocol.ErrorBody):
        assert f"| `{field.name}` |" in PROTOCOL
    limits = door.Limits()
    assert f"| {limits.message_bytes >> 20} MiB |" in PROTOCOL
    assert f"| {limits.header_bytes >> 10} KiB |" in PROTOCOL
    assert f"| {limits.client_bytes >> 20} MiB |" in PROTOCOL
    for number in (limits.depth, limits.per_client, limits.per_worker):
        assert f"| {number} |" in PROTOCOL
    assert f"up to {door.KEY_MAX_CHARS} characters" in PROTOCOL
    assert f"up to {door.CREDITS_MAX} " in PROTOCOL


def test_every_topic_that_is_published_is_described() -> None:
    topic = re.compile(r'"(/(?:namespaces|containers|images|content|snapshot|tasks)/[a-z-]+)"')
    published = {
        found
        for name, path in sources.modules("actors", "shim").items()
        for found in topic.findall(path.read_text())
        if name != "actors.plugins"
    }
    assert len(published) > 15
    assert not {found for found in published if f"`{found}`" not in PROTOCOL}


@pytest.mark.root
def test_the_example_of_a_client_runs_against_a_daemon(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PROTOCOL, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= LINES_MAX
    program = tmp_path / "client.py"
    program.write_text(example)
    with storage() as daemon:
        done = _run(program, daemon)
        again = _run(program, daemon)
    assert done.stdout == f"{__version__} b'hello'\n", done.stderr
    # The second time the blob is there, and the client says what it was told.
    assert again.stderr.startswith("already_exists: ")


def _run(program: Path, daemon: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(program), daemon.address], capture_output=True, text=True, timeout=20, check=False
    )
