"""How a pull, a push and their like are shown: a bar for each layer, plain lines, or JSON lines."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.output import print_json_line, short_id
from cli.settings import Settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wharfie.types.transfer import Progress

MOVING = frozenset({"downloading", "uploading", "unpacking"})
"""Events that tell how far something is."""

AT_REST = {"done": "complete", "exists": "exists", "unpacked": "unpacked"}
"""Events after which nothing is under way, and what is said of them."""


@dataclass
class Row:
    """One layer as it is shown.

    Attributes:
        what: is being done with it.
        done, total: bytes of that.
        is_new_phase: `what` has just begun: its rate is measured from here.
    """

    name: str
    what: str = "waiting"
    done: int = 0
    total: int = 0
    is_new_phase: bool = True


class Rows:
    """The layers, from the progress items of one operation. Pure.

    A layer is unpacked while it arrives: as long as it does, that is what is shown.
    """

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._unpacked: dict[str, int] = {}

    def take(self, progress: Progress) -> Row | None:
        """The row that an item changes; None for what has none: references, images and documents."""
        event, name = progress.event, progress.name
        if event == "waiting":
            return self._rows.setdefault(name, Row(name, total=progress.total))
        row = self._rows.get(name)
        if row is None:
            return None
        if event == "unpacking":
            self._unpacked[name] = progress.done
            if row.what in MOVING - {"unpacking"} or row.what in {"waiting", "retrying"}:
                return None
        if event == "retry":
            return _phase(row, "retrying", row.done)
        if event in AT_REST:
            if event != "unpacked" and name in self._unpacked:
                return _phase(row, "unpacking", self._unpacked[name])
            return _phase(row, AT_REST[event], row.total)
        return _phase(row, event, progress.done) if event in MOVING else None


def _phase(row: Row, what: str, done: int) -> Row:
    row.is_new_phase = row.what != what
    row.what, row.done = what, done
    return row


class Lines:
    """The same as lines of text, one for each step that somebody reading a log wants to know of."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def line_of(self, progress: Progress) -> str:
        """The line of an item; empty for one that says nothing new."""
        event, name = progress.event, progress.name
        if event == "waiting" or (event in MOVING and (event, name) in self._said):
            return ""
        self._said.add((event, name))
        size = f" {spoken(progress.total)}" if progress.total and event not in {"unpacked", "exists"} else ""
        detail = f" {progress.detail}" if progress.detail else ""
        return f"{AT_REST.get(event, event)} {short_id(name)}{size}{detail}".rstrip()


@contextlib.contextmanager
def shown(settings: Settings, *, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Where progress goes: JSON lines with --json, nowhere with --quiet, bars on a terminal, lines elsewhere."""
    if settings.json:
        yield print_json_line
    elif quiet:
        yield None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        lines = Lines()

        def say(progress: Progress) -> None:
            if line := lines.line_of(progress):
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()

        yield say


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Progress], None]]:
    """Bars with rates and the time left, drawn by rich, which is loaded only for this."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.fields[layer]} {task.description:<11}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    rows = Rows()
    lines = Lines()
    with Bars(*columns, console=console) as bars:
        known: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            row = rows.take(progress)
            if row is None:
                if not progress.total and (line := lines.line_of(progress)):
                    console.print(line, markup=False, highlight=False)
                return
            task = known.get(row.name)
            if task is None:
                task = known[row.name] = bars.add_task(
                    row.what, total=row.total or None, layer=short_id(row.name), start=False
                )
            if row.is_new_phase:
                bars.reset(task, start=row.what in MOVING, description=row.what, layer=short_id(row.name))
                row.is_new_phase = False
            bars.update(task, description=row.what, completed=row.done, total=row.total or None)

        yield show
