from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bundle import GROUP, PASSWD
from wharfie.errors import InvalidArgument
from wharfie.oci.user import MAX_ID, User, numeric_user, parse_group, parse_passwd, resolve_user


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(uid=0, gid=0, additional_gids=(0, 10))),
        ("root", User(uid=0, gid=0, additional_gids=(0, 10))),
        ("0", User(uid=0, gid=0, additional_gids=(0, 10))),
        ("app", User(uid=1000, gid=1001, additional_gids=(1001, 10, 50))),
        ("1000", User(uid=1000, gid=1001, additional_gids=(1001, 10, 50))),
        ("app:staff", User(uid=1000, gid=50, additional_gids=(50,))),
        ("app:12", User(uid=1000, gid=12, additional_gids=(12,))),
        ("4711", User(uid=4711, gid=0, additional_gids=(0,))),
        ("4711:4712", User(uid=4711, gid=4712, additional_gids=(4712,))),
        (":staff", User(uid=0, gid=50, additional_gids=(50,))),
        (f"{MAX_ID}:{MAX_ID}", User(uid=MAX_ID, gid=MAX_ID, additional_gids=(MAX_ID,))),
    ],
)
def test_each_form_of_a_user_is_understood(text: str, expected: User) -> None:
    assert resolve_user(text, passwd=PASSWD, group=GROUP) == expected


def test_supplementary_groups_of_the_image_are_set_because_leaving_them_out_was_cve_2023_25173() -> None:
    assert 10 in resolve_user("app", passwd=PASSWD, group=GROUP).additional_gids


@pytest.mark.parametrize("text", ["2147483648", "4294967296", "0:2147483648", "99999999999999999999", "1:4294967295"])
def test_an_id_that_would_wrap_to_another_is_refused_because_it_was_cve_2024_40635(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"2147483647"):
        resolve_user(text)


def test_an_id_of_the_image_that_would_wrap_is_refused_too() -> None:
    with pytest.raises(InvalidArgument, match="4294967296"):
        resolve_user("evil", passwd=b"evil:x:4294967296:0::/:/bin/sh\n")
    with pytest.raises(InvalidArgument, match="beyond"):
        resolve_user("app", passwd=PASSWD, group=b"big:x:4294967296:app\n")


@pytest.mark.parametrize(
    ("text", "file"),
    [("nobody", "/etc/passwd"), ("app:nogroup", "/etc/group"), ("-1", "/etc/passwd"), ("+0", "/etc/passwd")],
)
def test_a_name_that_the_image_lacks_names_itself_and_the_file(text: str, file: str) -> None:
    with pytest.raises(InvalidArgument, match=file) as caught:
        resolve_user(text, passwd=PASSWD, group=GROUP)
    assert caught.value.details == {"field": "user", "reason": "no_such_name"}


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="empty group"):
        resolve_user("app:", passwd=PASSWD, group=GROUP)


def test_only_two_numbers_need_no_file() -> None:
    assert numeric_user("5:6") == User(uid=5, gid=6, additional_gids=(6,))
    for text in ("", "5", "app", "app:6", "5:staff"):
        assert numeric_user(text) is None


def test_malformed_lines_are_skipped() -> None:
    text = b"# comment\n+nis\n-nis\nshort:x\nx:x:one:2::/:\n\nok:x:1:2::/home/ok:/bin/sh\r\n\xff\xfe:x:3:4::/:\n"
    assert [entry.uid for entry in parse_passwd(text)] == [1, 3]
    assert [entry.gid for entry in parse_group(b"bad\na:x:7\nb:x:8:m,,n\n")] == [7, 8]
    assert parse_group(b"b:x:8:m,,n\n")[0].members == ("m", "n")


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=20))
def test_hostile_files_give_a_user_in_range_or_a_typed_error(passwd: bytes, group: bytes, text: str) -> None:
    try:
        user = resolve_user(text, passwd=passwd, group=group)
    except InvalidArgument:
        return
    assert all(0 <= number <= MAX_ID for number in (user.uid, user.gid, *user.additional_gids))
    assert user.additional_gids[0] == user.gid
