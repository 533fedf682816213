from __future__ import annotations

import msgspec

from shim.answer import REMEMBERED, Answer, Answers
from shim.protocol import Failure, Pid, Reply, decode_from_shim


def test_everybody_who_asked_gets_the_one_answer_under_their_own_number() -> None:
    answer = Answer()
    got: list[bytes] = []
    answer.wait(1, got.append)
    answer.wait(2, got.append)
    assert got == []
    answer.ok(Pid(pid=5))
    answer.wait(3, got.append)
    replies = [decode_from_shim.decode(data) for data in got]
    assert [reply.id for reply in replies if isinstance(reply, Reply)] == [1, 2, 3]
    assert all(isinstance(r, Reply) and msgspec.msgpack.decode(r.body, type=Pid).pid == 5 for r in replies)


def test_a_failure_is_an_answer_too() -> None:
    answer = Answer()
    got: list[bytes] = []
    answer.fail("not_found", "task 'x' not found", "gone")
    answer.wait(9, got.append)
    assert decode_from_shim.decode(got[0]) == Failure(
        id=9, code="not_found", message="task 'x' not found", details={"reason": "gone"}
    )


def test_the_oldest_given_answer_is_forgotten_first() -> None:
    answers = Answers()
    pending = Answer()
    answers.remember("pending", pending)
    for number in range(REMEMBERED):
        answer = Answer()
        answer.ok()
        answers.remember(str(number), answer)
    assert answers.find("pending") is pending, "one that is still being worked on stays"
    assert answers.find("0") is None
    assert answers.find("1") is not None
