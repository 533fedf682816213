"""What is shown of a pull: rows and lines from progress items."""

from __future__ import annotations

from cli.layers import Lines, Rows
from wharfie.types.transfer import Progress


def item(event: str, done: int = 0, *, name: str = "a", total: int = 100, detail: str = "") -> Progress:
    return Progress(event=event, name=name, done=done, total=total, detail=detail)


def states(rows: Rows, items: list[Progress]) -> list[tuple[str, int] | None]:
    found = []
    for one in items:
        row = rows.take(one)
        found.append((row.what, row.done) if row is not None else None)
    return found


def test_a_layer_is_downloaded_then_unpacked_in_one_row() -> None:
    items = [
        item("waiting"),
        item("downloading", 10),
        item("unpacking", 5),
        item("downloading", 60),
        item("done", 100),
        item("unpacking", 80),
        item("unpacked", 100),
    ]
    assert states(Rows(), items) == [
        ("waiting", 0),
        ("downloading", 10),
        None,
        ("downloading", 60),
        ("unpacking", 5),
        ("unpacking", 80),
        ("unpacked", 100),
    ]


def test_one_that_is_there_and_one_that_is_only_sent() -> None:
    assert states(Rows(), [item("waiting"), item("exists", 100)])[-1] == ("exists", 100)
    assert states(Rows(), [item("waiting"), item("uploading", 30), item("done", 100)])[-1] == ("complete", 100)


def test_a_retry_is_seen() -> None:
    found = states(Rows(), [item("waiting"), item("downloading", 40), item("retry"), item("downloading", 50)])
    assert found[2:] == [("retrying", 40), ("downloading", 50)]


def test_documents_and_names_have_no_row() -> None:
    assert states(Rows(), [item("resolving"), item("downloading"), item("saved")]) == [None, None, None]


def test_lines_say_each_step_once() -> None:
    lines = Lines()
    digest = f"sha256:{'ab' * 32}"
    said = [
        lines.line_of(one)
        for one in (
            item("resolved", name="r/x:1", total=0, detail=digest),
            item("waiting", name=digest),
            item("downloading", 1, name=digest),
            item("downloading", 50, name=digest),
            item("retry", name=digest, total=0, detail="the connection broke"),
            item("done", 100, name=digest),
            item("unpacked", 100, name=digest),
        )
    ]
    assert said == [
        f"resolved r/x:1 {digest}",
        "",
        "downloading abababababab 100 B",
        "",
        "retry abababababab the connection broke",
        "complete abababababab 100 B",
        "unpacked abababababab",
    ]
