"""From what a user typed to what is meant: containers by the beginning of their id, images with their default tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from wharfie import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wharfie._sync.client import Client
    from wharfie._sync.containers import Container

T = TypeVar("T")


def match_id(text: str, ids: Sequence[str]) -> str:
    """The one id that is `text` or begins with it.

    Raises:
        NotFound: none does.
        FailedPrecondition: several do; the message names some.
    """
    found = [id_ for id_ in ids if id_ == text] or [id_ for id_ in ids if text and id_.startswith(text)]
    if not found:
        raise errors.NotFound(f"container '{text}' not found", details={"kind": "container", "id": text})
    if len(found) > 1:
        some = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise errors.FailedPrecondition(
            f"'{text}' is the beginning of {len(found)} containers: {some}", details={"reason": "ambiguous"}
        )
    return found[0]


def container(client: Client, text: str) -> Container:
    """A container by its id, or by the beginning of its id.

    Raises:
        NotFound: there is none.
        FailedPrecondition: several begin so.
    """
    try:
        return client.containers.get(text)
    except (errors.NotFound, errors.InvalidArgument):
        ids = [found.id for found in client.containers.list(without_spec=True)]
        try:
            return client.containers.get(match_id(text, ids))
        except errors.NotFound:
            raise errors.NotFound(
                f"container '{text}' not found in namespace '{client.namespace}'",
                details={"kind": "container", "id": text},
            ) from None


def image_names(text: str) -> list[str]:
    """The names to look for, in order: as it was typed, then with the tag that is meant when none is given."""
    last = text.rpartition("/")[2]
    return [text] if ":" in last or "@" in text else [text, f"{text}:latest"]


def _all_names(text: str) -> Iterator[str]:
    """The same, and at last the name that a pull of it gives: `docker.io/library/busybox:latest`."""
    names = image_names(text)
    yield from names
    from wharfie.reference import Reference

    try:
        pulled = Reference.parse(text).name
    except errors.InvalidArgument:
        return
    if pulled not in names:
        yield pulled


def with_image(client: Client, text: str, action: Callable[[str], T]) -> tuple[str, T]:
    """Do something with an image under the first of its names that is there.

    The action is tried with the name as typed and does the look-up itself: a name that is exact costs no question.

    Returns:
        The name that was found, and what the action returned.

    Raises:
        NotFound: none of the names is there, with `details["kind"]` `image`.
    """
    for name in _all_names(text):
        try:
            return name, action(name)
        except (errors.NotFound, errors.InvalidArgument) as error:
            # It may be something of the image that is not there, rather than its name.
            if error.details.get("name") != name and _is_here(client, name):
                raise
    raise errors.NotFound(
        f"image '{text}' not found in namespace '{client.namespace}'", details={"kind": "image", "name": text}
    )


def _is_here(client: Client, name: str) -> bool:
    try:
        client.images.get(name)
    except (errors.NotFound, errors.InvalidArgument):
        return False
    return True
