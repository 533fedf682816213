"""Access control lists: the texts of star and GNU tar become what setfacl sets."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack import acl
from tests.support import tars

from .conftest import Unpack

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
BASE = b"user::rw-,group::r--,mask::rwx,other::r--"


def pack(*entries: tuple[int, int, int]) -> bytes:
    parts = (
        tag.to_bytes(2, "little") + mode.to_bytes(2, "little") + (number & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, number, mode in entries
    )
    return (2).to_bytes(4, "little") + b"".join(parts)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (b"user::rw-\ngroup::r--\nother::---\n", [(1, -1, 6), (4, -1, 4), (0x20, -1, 0)]),
        (b"u::rwx,g::r-x,o::r-x", [(1, -1, 7), (4, -1, 5), (0x20, -1, 5)]),
        (
            BASE + b",user:ann:r--:1000,user:5:rwx,group:wheel:-w-:70000",
            [(1, -1, 6), (2, 5, 7), (2, 1000, 4), (4, -1, 4), (8, 70000, 2), (0x10, -1, 7), (0x20, -1, 4)],
        ),
        (BASE + b",user:root:r--", [(1, -1, 6), (2, 0, 4), (4, -1, 4), (0x10, -1, 7), (0x20, -1, 4)]),
        # Who is not known here has no entry; the others keep what they have.
        (BASE + b",user:ann:---", [(1, -1, 6), (4, -1, 4), (0x10, -1, 7), (0x20, -1, 4)]),
        (b"default:user::rwx,default:group::r-x,default:other::---", [(1, -1, 7), (4, -1, 5), (0x20, -1, 0)]),
        (
            b"user::rw-,user:7:rwx #effective:r--,group::r--,mask:r--,other:r--",
            [(1, -1, 6), (2, 7, 7), (4, -1, 4), (0x10, -1, 4), (0x20, -1, 4)],
        ),
    ],
)
def test_texts_become_attributes(text: bytes, entries: list[tuple[int, int, int]]) -> None:
    assert acl.encode(text) == pack(*entries)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b"user::rwx",
        b"user::rwx,group::rwx,other::rwz",
        b"user::rwx,group::rwx,other::rwxr",
        b"user::rwx,user:5:r--,group::r--,other::r--",
        BASE + b",user:5:r--,user:5:rw-",
        BASE + b",mask:5:r--",
        BASE + b",user::r--",
    ],
)
def test_what_is_no_list_is_none(text: bytes) -> None:
    assert acl.encode(text) is None


@given(text=st.text(alphabet="usergopmaskth:,-rwx0159#\n", max_size=80))
def test_any_text_is_a_list_or_none(text: str) -> None:
    value = acl.encode(text.encode())
    assert value is None or (len(value) % 8 == 4 and value.startswith(b"\2\0\0\0"))


@pytest.mark.parametrize("options", [["--acls"], ["--xattrs"], ["--acls", "--xattrs", "--xattrs-include=*"]])
def test_lists_that_gnu_tar_packed_come_back(unpack: Unpack, target: str, shm: str, options: list[str]) -> None:
    source = f"{shm}/source"
    os.makedirs(f"{source}/d")
    os.mknod(f"{source}/f")
    for words in (["-m", "u:1234:rwx,u:0:r,g:70000:r,m::rx"], ["-m", "o::---"]):
        subprocess.run(["setfacl", *words, f"{source}/f"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx,g:0:---", f"{source}/d"], check=True)
    done = subprocess.run(["tar", *options, "-C", source, "-c", "f", "d"], check=True, capture_output=True)
    unpack(done.stdout)
    assert os.getxattr(f"{target}/f", ACCESS) == os.getxattr(f"{source}/f", ACCESS)
    assert os.getxattr(f"{target}/d", DEFAULT) == os.getxattr(f"{source}/d", DEFAULT)
    assert os.stat(f"{target}/f").st_mode == os.stat(f"{source}/f").st_mode


def test_the_attribute_itself_as_go_writes_it_is_set_and_counts_more(unpack: Unpack, target: str) -> None:
    exact = pack((1, -1, 6), (2, 9, 4), (4, -1, 4), (0x10, -1, 6), (0x20, -1, 0))
    records = [(b"SCHILY.acl.access", BASE + b",user:8:r--"), (b"SCHILY.xattr.system.posix_acl_access", exact)]
    unpack(tars.pax(*records) + tars.raw_file(b"f", mode=b"0000660"))
    assert os.getxattr(f"{target}/f", ACCESS) == exact


def test_a_record_that_is_no_list_is_ignored(unpack: Unpack, target: str) -> None:
    unpack(tars.pax((b"SCHILY.acl.access", b"what?")) + tars.raw_file(b"f"))
    assert os.listxattr(f"{target}/f") == []
