from __future__ import annotations

import msgspec

from shim.answer import REMEMBERED, Answer, remember
from shim.connection import Connection
from shim.protocol import Failure, Pid, Reply, decode_from_shim


class Recorder(Connection):
    """Keeps what is sent instead of sending it."""

    def __init__(self) -> None:
        self.sent: list[Reply | Failure] = []

    def send(self, message: bytes) -> None:
        answer = decode_from_shim.decode(message)
        assert isinstance(answer, (Reply, Failure))
        self.sent.append(answer)


def test_everybody_who_asked_gets_the_one_answer_under_their_own_number() -> None:
    first, second = Recorder(), Recorder()
    answer = Answer(1, first)
    answer.repeat(2, second)
    assert first.sent == second.sent == []
    answer.ok(Pid(pid=5))
    answer.repeat(3, second)
    assert [reply.id for reply in first.sent] == [1]
    assert [reply.id for reply in second.sent] == [2, 3]
    for reply in (*first.sent, *second.sent):
        assert isinstance(reply, Reply)
        assert msgspec.msgpack.decode(reply.body, type=Pid).pid == 5


def test_a_failure_is_an_answer_too() -> None:
    recorder = Recorder()
    answer = Answer(9, recorder)
    answer.fail("not_found", "task 'x' not found", "gone")
    assert answer.is_given
    assert recorder.sent == [Failure(id=9, code="not_found", message="task 'x' not found", details={"reason": "gone"})]


def test_the_oldest_given_answer_is_forgotten_first() -> None:
    answers: dict[str, Answer] = {}
    pending = Answer(1, Recorder())
    remember(answers, "pending", pending)
    for number in range(REMEMBERED):
        answer = Answer(1, Recorder())
        answer.ok()
        remember(answers, str(number), answer)
    assert answers["pending"] is pending, "one that is still being worked on stays"
    assert "0" not in answers
    assert "1" in answers
