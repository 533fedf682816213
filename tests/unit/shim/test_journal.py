from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import journal
from shim.journal import Acknowledged, Contents, Journal, Record, compact, encode_record, parse_journal, read_journal
from tests.support.bundle import temporary_directory

EVENTS = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(0, 2**63), st.text(max_size=9)), max_size=3)
RECORDS = st.lists(
    st.one_of(
        st.builds(
            Record, st.integers(1, 99), st.integers(0, 2**62), st.sampled_from(["/tasks/exit", "/tasks/oom"]), EVENTS
        ),
        st.builds(Acknowledged, st.integers(0, 99)),
    ),
    max_size=8,
)


@pytest.fixture
def bundle() -> Iterator[str]:
    with temporary_directory() as path:
        yield path


def split(records: list[Record | Acknowledged]) -> tuple[list[Record], int]:
    events = [record for record in records if isinstance(record, Record)]
    return events, max((record.seq for record in records if isinstance(record, Acknowledged)), default=0)


@given(RECORDS)
def test_what_was_written_is_read(records: list[Record | Acknowledged]) -> None:
    contents = parse_journal(b"".join(map(encode_record, records)))
    assert (contents.records, contents.acknowledged) == split(records)


@given(RECORDS, st.data())
def test_a_torn_tail_costs_only_the_record_it_tore(records: list[Record | Acknowledged], data: st.DataObject) -> None:
    encoded = [encode_record(record) for record in records]
    cut = data.draw(st.integers(0, sum(map(len, encoded))))
    whole, end = 0, 0
    while whole < len(encoded) and end + len(encoded[whole]) <= cut:
        end += len(encoded[whole])
        whole += 1
    contents = parse_journal(b"".join(encoded)[:cut])
    assert (contents.records, contents.acknowledged) == split(records[:whole])


@given(RECORDS, st.binary(max_size=40))
def test_garbage_behind_the_records_never_raises(records: list[Record | Acknowledged], garbage: bytes) -> None:
    contents = parse_journal(b"".join(map(encode_record, records)) + garbage)
    assert contents.records[: len(split(records)[0])] == split(records)[0]


@given(RECORDS, st.sets(st.text(max_size=3), max_size=2))
def test_compacting_loses_nothing_that_has_to_be_delivered(
    records: list[Record | Acknowledged], keep: set[str]
) -> None:
    before = parse_journal(b"".join(map(encode_record, records)))
    after = parse_journal(compact(before, keep))
    assert after.unacknowledged == before.unacknowledged
    assert after.acknowledged == before.acknowledged
    for process_id in keep:
        assert after.exit_of(process_id) == before.exit_of(process_id)


def test_a_bundle_without_a_journal_has_an_empty_one(bundle: str) -> None:
    contents = read_journal(bundle)
    assert (contents.records, contents.last_seq, contents.exit_of("x")) == ([], 0, None)


def test_numbers_rise_and_acknowledgements_cover_all_before(bundle: str) -> None:
    written = Journal(bundle)
    for topic in ("/tasks/create", "/tasks/start", "/tasks/exit"):
        written.append(7, topic, {"id": "c"})
    written.acknowledge(2, ())
    written.acknowledge(1, ())
    contents = read_journal(bundle)
    assert [record.seq for record in contents.records] == [1, 2, 3]
    assert contents.unacknowledged == written.unacknowledged == [Record(3, 7, "/tasks/exit", {"id": "c"})]
    assert contents.exit_of("c") == Record(3, 7, "/tasks/exit", {"id": "c"})
    written.acknowledge(99, ())
    assert (written.acknowledged, read_journal(bundle).unacknowledged) == (3, [])
    written.close()
    written.close()


def test_a_second_journal_in_one_bundle_is_refused(bundle: str) -> None:
    Journal(bundle).close()
    with pytest.raises(FileExistsError):
        Journal(bundle)


def test_a_grown_journal_is_compacted_and_goes_on(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMPACT_BYTES", 500)
    written = Journal(bundle)
    for number in range(40):
        written.append(1, "/tasks/exit", {"id": f"e{number}", "exit_status": number})
        written.acknowledge(written.seq, {"c", "e7"})
    assert os.stat(f"{bundle}/journal").st_size < 1000
    assert not os.path.exists(f"{bundle}/journal.new")
    assert read_journal(bundle).last_seq == 40
    written.append(2, "/tasks/exit", {"id": "c", "exit_status": 9})
    contents = read_journal(bundle)
    kept = contents.exit_of("e7")
    assert kept is not None
    assert kept.event["exit_status"] == 7
    assert [record.seq for record in contents.unacknowledged] == [41]
    written.close()


def test_a_full_disk_keeps_the_event_in_memory_and_the_file_readable(bundle: str) -> None:
    from linux.mount import mount, umount

    mount("tmpfs", bundle, fstype="tmpfs", data="size=8k")
    try:
        written = Journal(bundle)
        while read_journal(bundle).last_seq == written.seq:
            written.append(1, "/tasks/oom", {"container_id": "x" * 500})
        contents = read_journal(bundle)
        assert [record.seq for record in contents.records] == list(range(1, written.seq))
        assert len(written.unacknowledged) == written.seq
        written.close()
    finally:
        umount(bundle)


def test_an_empty_file_is_an_empty_journal() -> None:
    assert parse_journal(b"") == Contents(records=[])
