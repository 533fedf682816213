from __future__ import annotations

import fcntl
import json
import logging
import os
import select
from collections.abc import Iterator

import pytest

from config import log
from config.settings import LOG_LEVELS

logger = logging.getLogger("wharfie.test")


class Reader:
    """The reading end of a pipe that the log is written to."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def text(self) -> str:
        parts = []
        while select.select([self.fd], [], [], 0)[0]:
            part = os.read(self.fd, 1 << 16)
            if not part:
                break
            parts.append(part)
        return b"".join(parts).decode()

    def line(self) -> str:
        text = self.text()
        assert text.count("\n") == 1, text
        return text[:-1]


@pytest.fixture
def pipe() -> Iterator[tuple[Reader, int]]:
    root = logging.getLogger()
    before = root.level, root.handlers[:], logging.raiseExceptions
    read_end, write_end = os.pipe()
    yield Reader(read_end), write_end
    os.close(read_end)
    os.close(write_end)
    root.level, root.handlers[:], logging.raiseExceptions = before
    root.setLevel(root.level)


@pytest.fixture
def text(pipe: tuple[Reader, int]) -> Reader:
    log.configure("debug", "text", fd=pipe[1])
    return pipe[0]


@pytest.fixture
def as_json(pipe: tuple[Reader, int]) -> Reader:
    log.configure("debug", "json", fd=pipe[1])
    return pipe[0]


def after_time(line: str) -> str:
    assert line.startswith("time=2")
    return line.partition(" ")[2]


def test_a_record_is_one_line_of_pairs_with_its_extra_fields(text: Reader) -> None:
    logger.info("task %s started", "t1", extra={"container": "c1", "pid": 12, "ok": True, "note": 'a "b"', "empty": ""})
    assert after_time(text.line()) == (
        'level=info msg="task t1 started" logger=wharfie.test container=c1 pid=12 ok=true note="a \\"b\\"" empty=""'
    )


def test_a_record_is_one_json_object_a_line(as_json: Reader) -> None:
    logger.warning("two\nlines", extra={"labels": {"a": [1, 2]}, "what": ValueError("x"), "raw": object})
    record = json.loads(as_json.line())
    assert record["level"] == "warn"
    assert record["msg"] == "two\nlines"
    assert record["labels"] == {"a": [1, 2]}
    assert record["what"] == "x"
    assert record["time"].endswith("Z")


def test_a_line_break_in_a_message_or_field_does_not_break_the_line(text: Reader) -> None:
    logger.info("one\nlevel=error msg=forged", extra={"name_of": "x\ny"})
    assert 'msg="one\\nlevel=error msg=forged"' in text.line()


def test_an_exception_is_a_field_with_its_stack_in_the_same_line(text: Reader) -> None:
    try:
        raise KeyError("k1")
    except KeyError:
        logger.exception("failed")
    line = text.line()
    assert "level=error msg=failed" in line
    assert "error='k1'" in line or 'error="' in line
    assert "test_log.py" in line


@pytest.mark.parametrize("name", LOG_LEVELS)
def test_every_level_of_the_configuration_lets_through_its_own_and_nothing_below(
    pipe: tuple[Reader, int], name: str
) -> None:
    log.configure(name, "text", fd=pipe[1])
    number = log.LEVELS[name]
    logger.log(number, "yes")
    logger.log(number - 1, "no")
    assert "msg=yes" in pipe[0].line()
    assert log.LEVELS[log.level_name()] == number


def test_the_level_and_the_format_can_be_changed_while_running(text: Reader) -> None:
    log.set_level("error")
    logger.info("no")
    assert text.text() == ""
    log.set_level("trace")
    logger.log(log.TRACE, "fine")
    assert after_time(text.line()).startswith("level=trace msg=fine")
    log.set_format("json")
    logger.info("now")
    assert json.loads(text.line())["msg"] == "now"
    with pytest.raises(KeyError):
        log.set_level("loud")


def test_the_fields_of_a_process_are_on_every_line(text: Reader) -> None:
    log.set_fields(actor="content", generation=3)
    logger.info("x", extra={"actor": "other"})
    assert after_time(text.line()) == "level=info msg=x logger=wharfie.test actor=content generation=3 actor_=other"
    log.set_fields()
    logger.info("x")
    assert "actor" not in text.line()


def test_configuring_again_replaces_what_was_set_up(text: Reader, pipe: tuple[Reader, int]) -> None:
    log.configure("info", "text", fd=pipe[1])
    logger.info("once")
    assert "msg=once" in text.line()


@pytest.mark.parametrize(
    "extra",
    [
        {"password": "hunter2"},
        {"registry_passwd": "hunter2"},
        {"identity_token": "hunter2"},
        {"Authorization": "hunter2"},
        {"clientSecret": "hunter2"},
        {"url": "https://user:hunter2@host/v2/"},
        {"urls": ["ok", "https://user:hunter2@host/v2/"]},
        {"env": {"DB_PASSWORD": "hunter2"}},
        {"error": OSError("get https://user:hunter2@host/v2/")},
    ],
)
def test_secrets_are_never_written(pipe: tuple[Reader, int], extra: dict[str, object]) -> None:
    for style in ("text", "json"):
        log.configure("info", style, fd=pipe[1])
        logger.info("see https://user:hunter2@host/", extra=extra)
        line = pipe[0].line()
        assert "hunter2" not in line
        assert "[hidden]" in line


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_record_that_cannot_be_formatted_costs_its_caller_nothing_and_is_told(text: Reader) -> None:
    logger.info("x", extra={"thing": Unprintable()})
    assert "cannot be formatted" in text.line()
    logger.info("%d", "not a number")
    assert "cannot be formatted" in text.line()


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_name_that_is_not_utf_8_is_written_with_escapes(pipe: tuple[Reader, int], style: str) -> None:
    log.configure("info", style, fd=pipe[1])
    logger.info("x %s", os.fsdecode(b"\xff"), extra={"path": os.fsdecode(b"/a\xfe"), "e": OSError("\udcfd")})
    line = pipe[0].line()
    assert "udcff" in line
    assert "udcfe" in line
    assert "udcfd" in line


def test_a_reader_that_stands_still_costs_lines_and_not_the_daemon(text: Reader, pipe: tuple[Reader, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 16384)
    handler = next(handler for handler in logging.getLogger().handlers if isinstance(handler, log.Handler))
    written = 0
    while not handler.dropped:
        logger.info("x" * 900)
        written += 1
    for _ in range(10):
        logger.info("lost")
    seen = text.text()
    logger.info("back")
    after = text.text().splitlines()
    assert seen.count("\n") == written - 1
    assert "lost" not in seen
    assert 'msg="log lines dropped"' in after[0]
    assert "count=11" in after[0]
    assert "msg=back" in after[1]


def test_a_reader_that_is_gone_costs_nothing(pipe: tuple[Reader, int]) -> None:
    read_end, write_end = os.pipe()
    log.configure("info", "text", fd=write_end)
    os.close(read_end)
    logger.info("nobody hears")
    os.close(write_end)
    logger.info("nor here")


def test_a_long_line_is_written_whole(text: Reader) -> None:
    logger.info("x", extra={"stack": "y" * 20_000})
    assert "y" * 20_000 in text.line()
