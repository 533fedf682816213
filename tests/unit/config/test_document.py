from __future__ import annotations

from typing import Any

import pytest
import tomli

from config.document import Document, Findings, parse
from config.table import table

BAD_LINES = [
    # file, key as the error shows it, what was expected, what stood there
    ("root = 5", "root", "expected a path", "5 (an integer)"),
    ('temp = "tmp"', "temp", "expected an absolute path", '"tmp" (a string)'),
    ("oom_score = 2000", "oom_score", "expected an integer from -1000 to 1000", "2000 (an integer)"),
    ('imports = "a.toml"', "imports", "expected an array", '"a.toml" (a string)'),
    ('required_plugins = ["overlayfs"]', "required_plugins", "a plugin's full id", "an array of 1"),
    ('[log]\nlevel = "loud"', "[log] level", 'expected one of "trace"', '"loud" (a string)'),
    ("[log]\nformat = true", "[log] format", 'expected one of "text", "json"', "true (a boolean)"),
    ('[router]\nmode = "rw"', "[router] mode", "expected permission bits", '"rw" (a string)'),
    ('[router]\nuid = "root"', "[router] uid", "expected an integer", '"root" (a string)'),
    ('[router]\nmax_message_bytes = "1MB"', "[router] max_message_bytes", "expected a size", '"1MB" (a string)'),
    ("[router]\nmax_depth = 1.5", "[router] max_depth", "expected an integer", "1.5 (a float)"),
    ('[router]\naddress = "@abstract"', "[router] address", "path of a Unix socket", '"@abstract" (a string)'),
    ('[router]\ntcp_address = "x"', "[router] tcp_address", "expected a TCP address", '"x" (a string)'),
    ('[shim]\nruntime = "./runc"', "[shim] runtime", "expected the name of a program", '"./runc" (a string)'),
    ('[supervisor]\nperiod_s = "5"', "[supervisor] period_s", "expected a duration", '"5" (a string)'),
    ("[supervisor]\nperiod_s = 0", "[supervisor] period_s", "expected a duration of at least 1ms", "0 (an integer)"),
    ("[supervisor]\nperiod_s = 1979-05-27", "[supervisor] period_s", "expected a duration", "(a date)"),
    ("[supervisor.period_s]\na = 1", "[supervisor] period_s", "expected a duration", "a table"),
    ('[timeouts]\n"shim.load" = "fast"', '[timeouts] "shim.load"', "expected a duration", '"fast" (a string)'),
    ('[timeouts]\nshim.load = "0s"', '[timeouts] "shim.load"', "at least 1ms", '"0s" (a string)'),
    ('[timeouts]\n"shim.load" = "999h"', '[timeouts] "shim.load"', "up to 168h", '"999h" (a string)'),
    (
        '[timeouts]\n"io.containerd.timeout.shim.load" = -1',
        '[timeouts] "io.containerd.timeout.shim.load"',
        "expected a duration",
        "-1 (an integer)",
    ),
    ('[timeouts]\n"of.nobody" = "soon"', '[timeouts] "of.nobody"', "expected a duration", '"soon" (a string)'),
    ("log = 5", "log", "expected a table", "write [log] on a line of its own"),
    ("timeouts = 5", "timeouts", "expected a table", "write [timeouts]"),
    ("plugins = 5", "plugins", "expected a table", "5 (an integer)"),
    ('plugins."t.a" = 5', '[plugins] "t.a"', "expected a table", "5 (an integer)"),
    ("[plugins.overlayfs]", "[plugins] overlayfs", "is not a full id", '[plugins."TYPE.ID"]'),
    ("version = 4", "version", "4 is newer than 1", "install a newer wharfied"),
    ("version = 0", "version", "expected an integer from 1 to 1", "0 (an integer)"),
    ('version = "1"', "version", "expected an integer from 1 to 1", "write version = 1"),
    ("version = true", "version", "expected an integer from 1 to 1", "true (a boolean)"),
    ('[log]\nlevel = "info"\n[debug]\nlevel = "info"', "[debug] level", "set twice", "[log] level"),
    ('[timeouts]\n"shim.load" = 1\nshim.load = 2', '[timeouts] "shim.load"', "set twice", "keep one"),
]


def parsed(text: str) -> tuple[Document, Findings]:
    findings = Findings()
    return parse(tomli.loads(text), "/etc/w.toml", findings), findings


@pytest.mark.parametrize(("text", "key", "expected", "got"), BAD_LINES, ids=[line[0] for line in BAD_LINES])
def test_an_error_names_file_section_key_expectation_and_value(text: str, key: str, expected: str, got: str) -> None:
    _, findings = parsed(text)
    (problem,) = findings.problems
    sentence = str(problem)
    assert sentence.startswith(f"/etc/w.toml: {key}: ")
    assert expected in sentence
    assert got in sentence
    assert "\n" not in sentence
    assert not sentence.endswith(".")


@pytest.mark.parametrize("key", list(table()))
def test_every_setting_refuses_a_value_of_a_wrong_type_and_names_itself(key: str) -> None:
    section, _, name = key.rpartition(".") if key.count(".") < 2 else ("timeouts", "", key.partition(".")[2])
    wrong: Any = {"an": {"inner": "table"}}
    raw = {section: {name: wrong}} if section else {name: wrong}
    if section == "timeouts":
        raw = {"timeouts": {name: [wrong]}}
    findings = Findings()
    parse(raw, "/f", findings)
    (problem,) = findings.problems
    assert name in str(problem)
    assert problem.where == "/f"


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    _, findings = parsed('root = 1\n[log]\nlevel = "x"\n[timeouts]\n"shim.load" = ""\n')
    assert [problem.key for problem in findings.problems] == ["root", "log.level", "timeouts.shim.load"]


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[log]\nlevle = 1", "[log] levle", "did you mean [log] level?"),
        ("[ruoter]\naddress = 1", "ruoter", "did you mean [router]?"),
        ("rot = 1", "rot", "did you mean root?"),
        ("address = 1", "address", "did you mean [router] address?"),
        ("[log]\nmode = 1", "[log] mode", "did you mean [router] mode?"),
        ('[timeouts]\n"shim.lode" = 1', '[timeouts] "shim.lode"', 'did you mean "shim.load"?'),
        ('[timeouts]\n"io.containerd.timeout.bolt.open" = "0s"', "bolt.open", "no stage"),
        ("[debug]\naddress = 1", "[debug] address", "unknown key"),
        ("zzzzzzzz = 1", "zzzzzzzz", "unknown key is ignored"),
    ],
)
def test_an_unknown_key_only_warns_and_the_nearest_known_one_is_offered(text: str, key: str, hint: str) -> None:
    _, findings = parsed(text)
    assert findings.problems == []
    (warning,) = findings.warnings
    assert warning.startswith("/etc/w.toml: ")
    assert key in warning
    assert hint in warning


def test_names_of_containerd_are_accepted_for_ours() -> None:
    document, findings = parsed(
        '[debug]\nlevel = "debug"\n[grpc]\naddress = "unix:///x.sock"\nmax_recv_message_size = 1048576\n'
        '[timeouts]\n"io.containerd.timeout.shim.load" = "7s"\nio.containerd.timeout.task.state = "1m"\n'
    )
    assert (findings.problems, findings.warnings) == ([], [])
    assert document.values == {
        "log.level": "debug",
        "router.address": "/x.sock",
        "router.max_message_bytes": 1 << 20,
    }
    assert document.timeouts == {"shim.load": 7.0, "task.state": 60.0}
    assert set(document.sources.values()) == {"/etc/w.toml"}


def test_a_timeout_may_be_written_with_or_without_quotes() -> None:
    assert parsed('[timeouts]\n"shim.load" = "9s"')[0] == parsed('[timeouts]\nshim.load = "9s"')[0]
    assert parsed('[timeouts.shim]\nload = "9s"')[0].timeouts == {"shim.load": 9.0}


def test_a_file_of_a_newer_version_is_refused_without_a_word_on_its_keys() -> None:
    document, findings = parsed("version = 3\nwhat = 1\n[log]\nlevel = 5")
    assert [problem.key for problem in findings.problems] == ["version"]
    assert findings.warnings == []
    assert document == Document()
