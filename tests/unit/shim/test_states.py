from __future__ import annotations

import pytest

from shim.states import (
    CREATED,
    CREATING,
    DELETING,
    PHASES,
    RUNNING,
    STARTING,
    STOPPED,
    VERBS,
    refusal,
    status_of,
)

YES = ""
PRE = "failed_precondition"
GONE = "not_found"

#            creating created starting running stopped deleting
INIT = {
    "start": (PRE, YES, PRE, PRE, PRE, PRE),
    "kill": (PRE, YES, YES, YES, GONE, GONE),
    "delete": (PRE, YES, PRE, PRE, YES, GONE),
    "exec": (PRE, YES, YES, YES, PRE, PRE),
    "close_io": (YES, YES, YES, YES, PRE, PRE),
}
EXEC = {
    "start": (PRE, YES, PRE, PRE, PRE, PRE),
    "kill": (PRE, PRE, PRE, YES, GONE, GONE),
    "delete": (PRE, YES, PRE, PRE, YES, GONE),
    "close_io": (YES, YES, YES, YES, PRE, PRE),
}


def code(verb: str, phase: str, *, is_exec: bool, init_phase: str = RUNNING) -> str:
    refused = refusal(verb, phase, is_exec=is_exec, init_phase=init_phase)
    return refused.code if refused else ""


def test_the_matrix_is_whole() -> None:
    assert set(INIT) == set(VERBS)
    assert set(EXEC) == set(VERBS) - {"exec"}


@pytest.mark.parametrize(("verb", "codes"), INIT.items())
def test_what_a_first_process_allows(verb: str, codes: tuple[str, ...]) -> None:
    assert tuple(code(verb, phase, is_exec=False) for phase in PHASES) == codes


@pytest.mark.parametrize(("verb", "codes"), EXEC.items())
def test_what_an_exec_allows(verb: str, codes: tuple[str, ...]) -> None:
    assert tuple(code(verb, phase, is_exec=True) for phase in PHASES) == codes


@pytest.mark.parametrize("init_phase", PHASES)
def test_an_exec_starts_only_beside_a_running_first_process(init_phase: str) -> None:
    expected = YES if init_phase == RUNNING else PRE
    assert code("start", CREATED, is_exec=True, init_phase=init_phase) == expected


def test_others_see_three_states() -> None:
    assert [status_of(phase) for phase in PHASES] == ["created", "created", "created", "running", "stopped", "stopped"]
    assert PHASES == (CREATING, CREATED, STARTING, RUNNING, STOPPED, DELETING)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_refusal_is_a_sentence_about_the_process(verb: str, phase: str) -> None:
    refused = refusal(verb, phase)
    if refused is not None:
        assert refused.reason.split()[0] in {"cannot", "has", "is"}
        assert not refused.reason.endswith(".")
