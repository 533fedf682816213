from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import kind
from config.error import BadValue
from config.kind import GIB, KIB, MIB, Kind


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (kind.text(), "", ""),
        (kind.text(), "x y", "x y"),
        (kind.choice("a", "b"), "b", "b"),
        (kind.integer(-1, 5), -1, -1),
        (kind.integer(-1, 5), 5, 5),
        (kind.number(1, 2), 1, 1.0),
        (kind.number(1, 2), 2.0, 2.0),
        (kind.duration(1, 10), "1s", 1.0),
        (kind.duration(1, 10), 10, 10.0),
        (kind.size(0), 0, 0),
        (kind.size(KIB, MIB), "1MiB", MIB),
        (kind.size(KIB, MIB), "1KiB", KIB),
        (kind.size(0), "3GiB", 3 * GIB),
        (kind.mode(), 0o660, 0o660),
        (kind.mode(), "0660", 0o660),
        (kind.mode(), "0o600", 0o600),
        (kind.path(), "/a//b/../c/", "/a/c"),
        (kind.path(), "", ""),
        (kind.socket_address(), "/run/x.sock", "/run/x.sock"),
        (kind.socket_address(), "unix:///run/x.sock", "/run/x.sock"),
        (kind.socket_address(), "ipc:///run/x.sock", "/run/x.sock"),
        (kind.tcp_address(), "", ""),
        (kind.tcp_address(), "tcp://127.0.0.1:7070", "127.0.0.1:7070"),
        (kind.tcp_address(), "[::1]:1", "[::1]:1"),
        (kind.program(), "runc", "runc"),
        (kind.program(), "/usr/bin/crun", "/usr/bin/crun"),
        (kind.strings(), ["a", "b", "a"], ("a", "b")),
        (kind.strings(), [], ()),
        (kind.strings(dotted=True), ["t.v1.id"], ("t.v1.id",)),
    ],
)
def test_a_good_value_becomes_typed(kind: Kind, value: object, parsed: object) -> None:
    result = kind.read(value)
    assert result == parsed
    assert type(result) is type(parsed)


@pytest.mark.parametrize(
    ("kind", "value", "remedy"),
    [
        (kind.text(), 5, "text in quotes"),
        (kind.text(), "a\0b", "NUL"),
        (kind.choice("a", "b"), "c", 'write one of "a", "b"'),
        (kind.choice("a", "b"), ["a"], 'write one of "a", "b"'),
        (kind.integer(-1, 5), 6, "from -1 to 5"),
        (kind.integer(-1, 5), -2, "from -1 to 5"),
        (kind.integer(-1, 5), "3", "from -1 to 5"),
        (kind.integer(-1, 5), True, "from -1 to 5"),
        (kind.integer(-1, 5), 3.0, "from -1 to 5"),
        (kind.number(1, 2), 0.5, "from 1 to 2"),
        (kind.number(1, 2), float("nan"), "from 1 to 2"),
        (kind.number(1, 2), True, "from 1 to 2"),
        (kind.number(1, 2), "1", "from 1 to 2"),
        (kind.duration(1, 10), 0.5, 'at least "1s"'),
        (kind.duration(1, 10), "11s", 'at most "10s"'),
        (kind.size(KIB, MIB), 5, "from 1KiB to 1MiB"),
        (kind.size(KIB, MIB), "2MiB", "from 1KiB to 1MiB"),
        (kind.size(0), -1, "write a size"),
        (kind.size(0), "5MB", 'such as "16MiB"'),
        (kind.size(0), "-5MiB", 'such as "16MiB"'),
        (kind.size(0), "1_0MiB", 'such as "16MiB"'),
        (kind.size(0), " 5MiB", 'such as "16MiB"'),
        (kind.size(0), "MiB", 'such as "16MiB"'),
        (kind.size(0), "5", 'such as "16MiB"'),
        (kind.size(0), 5.5, 'such as "16MiB"'),
        (kind.size(0), "9999999999999999999TiB", "write a size"),
        (kind.mode(), 0o1777, "octal"),
        (kind.mode(), -1, "octal"),
        (kind.mode(), "rw", "octal"),
        (kind.mode(), "0888", "octal"),
        (kind.mode(), True, "octal"),
        (kind.path(), "a/b", "absolute path"),
        (kind.path(), "/a\0", "NUL"),
        (kind.socket_address(), "@abstract", "abstract"),
        (kind.socket_address(), "unix://@abstract", "abstract"),
        (kind.socket_address(), "tcp://1.2.3.4:5", "tcp_address"),
        (kind.tcp_address(), "localhost", "host and a port"),
        (kind.tcp_address(), ":80", "host and a port"),
        (kind.tcp_address(), "h:65536", "host and a port"),
        (kind.tcp_address(), "h:0", "host and a port"),
        (kind.program(), "", "name of a program"),
        (kind.program(), "bin/runc", "name of a program"),
        (kind.strings(), "a", "array of strings"),
        (kind.strings(), [1], "text in quotes"),
        (kind.strings(), [""], "empty string"),
        (kind.strings(dotted=True), ["overlayfs"], 'full id of "overlayfs"'),
        (kind.strings(dotted=True), [".x"], "full id"),
    ],
)
def test_a_bad_value_is_refused_with_what_to_write(kind: Kind, value: object, remedy: str) -> None:
    with pytest.raises(BadValue, match=remedy.replace("[", r"\[")):
        kind.read(value)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_formatted_size_is_read_back(size: int) -> None:
    formatted = kind.format_size(size)
    assert kind.size(0).read(int(formatted) if formatted.isdecimal() else formatted) == size
