"""Who a container's process is: names of the image turned into numbers.

The image's `/etc/passwd` and `/etc/group` arrive here as bytes; reading them safely inside an untrusted root is the
caller's business. The rules are Docker's: a name is looked up before it is taken for a number, a number needs no
entry, an explicit group replaces the groups of the user, and otherwise the user's supplementary groups are set, too
(CVE-2023-25173). A number above 2147483647 would wrap to root in other programs and is refused (CVE-2024-40635).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wharfie.errors import InvalidArgument

MAX_ID = 2**31 - 1


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers as the runtime specification wants them; the primary group is the first of `additional_gids`."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = (0,)


class PasswdEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /etc/passwd, as far as it matters here."""

    name: str
    uid: int
    gid: int
    home: str


class GroupEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


def parse_passwd(data: bytes) -> list[PasswdEntry]:
    """The entries of a passwd file, in order; comments, malformed lines and NIS lines are skipped."""
    entries = []
    for fields in _lines(data):
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            home = fields[5] if len(fields) > 5 else ""
            entries.append(PasswdEntry(name=fields[0], uid=uid, gid=gid, home=home))
    return entries


def parse_group(data: bytes) -> list[GroupEntry]:
    """The entries of a group file, in order; malformed lines are skipped."""
    entries = []
    for fields in _lines(data):
        gid = _number(fields[2]) if len(fields) >= 3 else None
        if gid is not None:
            members = tuple(name for name in (fields[3] if len(fields) > 3 else "").split(",") if name)
            entries.append(GroupEntry(name=fields[0], gid=gid, members=members))
    return entries


def resolve_user(text: str, *, passwd: bytes = b"", group: bytes = b"") -> User:
    """The user that `user`, `uid`, `user:group`, `uid:gid` or nothing (root) means in this image.

    Args:
        text: the image's `User` or the caller's `--user`.
        passwd: the image's /etc/passwd, empty when it has none.
        group: the image's /etc/group, empty when it has none.

    Raises:
        InvalidArgument: no such name in the image's files, or a number beyond 2147483647.

    """
    user_text, colon, group_text = text.partition(":")
    if colon and not group_text:
        raise InvalidArgument(f"user '{text}' has an empty group", details={"field": "user"})
    entry = _find_passwd(parse_passwd(passwd), user_text or "0")
    uid = entry.uid if entry else _id(user_text or "0", what="user", file="/etc/passwd")
    groups = parse_group(group)
    if group_text:
        gid = _resolve_gid(groups, group_text)
        extra: list[int] = []
    else:
        gid = entry.gid if entry else 0
        extra = [one.gid for one in groups if entry and entry.name in one.members]
    for number in (uid, gid, *extra):
        _check_range(number, text)
    return User(uid=uid, gid=gid, additional_gids=tuple(dict.fromkeys([gid, *extra])))


def numeric_user(text: str) -> User | None:
    """The user that `uid:gid` means in every image; None when an image's files have a say.

    Raises:
        InvalidArgument: a number beyond 2147483647.

    """
    user_text, _, group_text = text.partition(":")
    uid, gid = _number(user_text), _number(group_text)
    if uid is None or gid is None:
        return None
    for number in (uid, gid):
        _check_range(number, text)
    return User(uid=uid, gid=gid, additional_gids=(gid,))


def _find_passwd(entries: list[PasswdEntry], text: str) -> PasswdEntry | None:
    return next((one for one in entries if one.name == text or str(one.uid) == text), None)


def _resolve_gid(groups: list[GroupEntry], text: str) -> int:
    found = next((one for one in groups if one.name == text or str(one.gid) == text), None)
    return found.gid if found else _id(text, what="group", file="/etc/group")


def _id(text: str, *, what: str, file: str) -> int:
    number = _number(text)
    if number is None:
        raise InvalidArgument(
            f"{what} '{text}' not found in the image's {file}", details={"field": "user", "reason": "no_such_name"}
        )
    return number


def _check_range(number: int, text: str) -> None:
    if number > MAX_ID:
        raise InvalidArgument(
            f"user '{text}' means id {number}, which is beyond the largest id {MAX_ID}", details={"field": "user"}
        )


def _number(text: str) -> int | None:
    # int() would also take '+1', ' 1', '1_0' and digits of other scripts, none of which passwd(5) knows.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _lines(data: bytes) -> Iterator[list[str]]:
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        stripped = line.strip()
        if stripped and stripped[0] not in "#+-":
            yield stripped.split(":")
