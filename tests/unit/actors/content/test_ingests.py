"""Ingests on disk: found again, resumed, dropped, finished; and the table of them."""

from __future__ import annotations

import errno
import hashlib
import os
import time

import msgspec
import pytest

from actors.content import ingests as module
from actors.content.admission import Step
from actors.content.ingest import Ingest, write_record
from actors.content.ingests import Finished, Ingests
from actors.content.store import BlobStore, remove_directory, remove_files
from actors.content.writing import apply, is_short, plan
from linux import descriptors, mount
from wharfie.errors import DataLoss, OutOfRange


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def write(ingest: Ingest, offset: int, *buffers: bytes, repeated: bool = False, keyed: bool = True) -> None:
    step = plan(ingest, offset=offset, repeated=repeated, keyed=keyed)
    apply(ingest, step, offset=offset, buffers=buffers, algorithm="sha256")


def begin(ingests: Ingests, ref: str = "ref", *, total: int = 0, shared: str = "") -> Ingest:
    return ingests.create("ns", ref, total=total, expected=shared, shared=shared)


def again(store: BlobStore, ref: str = "ref") -> Ingest:
    """The ingest as the next incarnation finds it."""
    found = Ingests(store).get("ns", ref)
    assert found is not None
    return found


def finish(ingests: Ingests, ingest: Ingest, *, key: str = "key") -> Finished:
    """Commit as the service does, without metadata."""
    ingest.open("sha256")
    digest = ingest.digest()
    ingest.save(committed=digest, committed_size=ingest.offset, key=key)
    ingests._store.adopt(ingest.bytes_path, digest)
    return ingests.finish(ingest)


def test_an_ingest_is_found_again_with_its_bytes_and_its_hash(store: BlobStore) -> None:
    ingests = Ingests(store)
    first = begin(ingests, total=11)
    write(first, 0, b"hello", b" ")
    first.close()
    found = again(store)
    assert found.status().offset == 6
    assert (found.record.total, found.record.started_at_ns) == (11, first.record.started_at_ns)
    assert found.needs_hashing("sha256")
    write(found, 6, b"world")
    assert found.digest() == digest_of(b"hello world")
    found.close()


def test_the_hash_is_made_anew_for_another_algorithm(store: BlobStore) -> None:
    ingest = begin(Ingests(store))
    write(ingest, 0, b"hello")
    ingest.open("sha512")
    assert ingest.digest() == digest_of(b"hello", "sha512")
    ingest.append([b" world"])
    assert ingest.digest() == digest_of(b"hello world", "sha512")
    ingest.close()


def test_a_write_that_was_cut_off_is_completed_when_it_is_repeated(store: BlobStore) -> None:
    payload = (b"abc", b"defg", b"hij")
    whole = b"0123" + b"".join(payload)
    for there in range(len(whole) + 1):
        ingest = begin(Ingests(store), ref := f"cut-{there}")
        write(ingest, 0, whole[:there]) if there else None
        ingest.close()
        found = again(store, ref)
        if there < 4:
            with pytest.raises(OutOfRange):
                write(found, 4, *payload, repeated=True)
        else:
            write(found, 4, *payload, repeated=True)
            assert found.digest() == digest_of(whole)
        found.close()


def test_a_repeated_write_of_other_bytes_is_refused_and_changes_nothing(store: BlobStore) -> None:
    ingest = begin(Ingests(store))
    write(ingest, 0, b"0123456789")
    with pytest.raises(OutOfRange) as raised:
        write(ingest, 4, b"45x789", repeated=True)
    assert raised.value.details["offset"] == 10
    with pytest.raises(OutOfRange):
        write(ingest, 4, b"456789")  # this incarnation wrote them, and remembers that nobody asked twice
    assert ingest.digest() == digest_of(b"0123456789")
    write(ingest, 0, b"other", repeated=True)
    assert ingest.digest() == digest_of(b"other")
    ingest.close()


@pytest.mark.root
def test_a_full_disk_leaves_the_ingest_as_it_was(root: str) -> None:
    small = f"{root}/small"
    os.mkdir(small)
    mount.mount_one("tmpfs", small, fstype="tmpfs", options=["size=64k"])
    try:
        ingest = begin(Ingests(BlobStore(small)))
        write(ingest, 0, b"0123")
        with pytest.raises(OSError, match="No space") as raised:
            write(ingest, 4, bytes(30_000), bytes(100_000))
        assert raised.value.errno == errno.ENOSPC
        assert os.stat(ingest.bytes_path).st_size == ingest.offset == 4
        write(ingest, 4, b"456789")
        assert ingest.digest() == digest_of(b"0123456789")
        ingest.close()
    finally:
        mount.umount(small)


def test_an_ingest_that_a_blob_stands_for_survives_a_restart_and_can_be_appended_to(store: BlobStore) -> None:
    ingests = Ingests(store)
    blob = begin(ingests, "blob")
    write(blob, 0, b"shared bytes")
    digest = finish(ingests, blob).record.committed
    os.utime(store.path(digest), (0, 0))
    shared = begin(ingests, shared=digest)
    assert (shared.status().offset, shared.status().total) == (12, 12)
    found = again(store)
    assert found.is_shared
    # An old blob does not make an old ingest.
    assert shared.updated_at_ns == found.updated_at_ns == shared.record.started_at_ns
    for offset in (1, 11, 13):
        with pytest.raises(OutOfRange):
            write(found, offset, b"x")
    write(found, 12)
    assert found.is_shared
    write(found, 12, b" and more")
    assert not found.is_shared
    assert found.digest() == digest_of(b"shared bytes and more")
    found.close()
    assert not again(store).is_shared
    with open(store.path(digest), "rb") as file:
        assert file.read() == b"shared bytes"


def test_a_blob_that_stands_for_bytes_may_be_deleted_meanwhile(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(blob := begin(ingests, "blob"), 0, b"shared bytes")
    digest = finish(ingests, blob).record.committed
    for ref in ("appended", "anew", "gone"):
        begin(ingests, ref, shared=digest)
    store.unlink(digest)
    write(appended := again(store, "appended"), 12, b"!")
    assert appended.digest() == digest_of(b"shared bytes!")
    write(anew := again(store, "anew"), 0, b"other")
    assert anew.digest() == digest_of(b"other")
    gone = again(store, "gone")
    os.unlink(gone.bytes_path)
    with pytest.raises(DataLoss):
        gone.open("sha256")
    gone.close()
    gone = again(store, "gone")
    assert (gone.status().offset, gone.is_shared) == (0, False)
    write(gone, 0, b"written instead")
    assert not again(store, "gone").is_shared
    for ingest in (appended, anew, gone):
        ingest.close()
        assert os.listdir(ingest.directory).count("shared") == 0


def test_a_damaged_blob_that_stands_for_bytes_is_not_put_in_place_again(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(blob := begin(ingests, "blob"), 0, b"shared bytes")
    digest = finish(ingests, blob).record.committed
    shared = begin(ingests, shared=digest)
    shared.check_shared()
    shared.close()
    os.chmod(shared.bytes_path, 0o600)
    with open(shared.bytes_path, "r+b") as file:
        file.write(b"SHARED")
    with pytest.raises(DataLoss):
        shared.check_shared()
    write(shared, 0, b"written instead")
    shared.close()


def test_a_blob_that_is_not_there_stands_for_nothing(store: BlobStore) -> None:
    ingest = begin(Ingests(store), shared=digest_of(b"nowhere"))
    assert not ingest.is_shared
    assert ingest.status().offset == 0


def test_short_writes_stay_in_the_loop_and_long_ones_do_not(store: BlobStore) -> None:
    ingest = begin(Ingests(store))
    assert is_short(ingest, Step.APPEND, length=1000, algorithm="sha256")
    assert not is_short(ingest, Step.APPEND, length=1 << 20, algorithm="sha256")
    write(ingest, 0, b"x" * 1000)
    assert is_short(ingest, Step.APPEND, length=1000, algorithm="sha256")
    assert not is_short(ingest, Step.COMPARE, length=1, algorithm="sha256")
    assert not is_short(ingest, Step.APPEND, length=1, algorithm="sha512")
    ingest.close()
    assert not is_short(again(store), Step.APPEND, length=1, algorithm="sha256")


def test_a_dropped_ingest_is_gone_at_once(store: BlobStore) -> None:
    ingests = Ingests(store)
    before = descriptors.opened()
    ingest = begin(ingests)
    write(ingest, 0, b"x")
    ingests.opened(ingest)
    away = ingests.drop(ingest)
    assert ingests.get("ns", "ref") is None
    assert Ingests(store).get("ns", "ref") is None  # whose start removed it
    remove_directory(away)
    assert os.listdir(store.ingest_root) == []
    assert descriptors.opened() == before


def test_an_abort_is_remembered_under_its_key_for_a_while(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(ingest := begin(ingests), 0, b"x")
    remove_files(ingests.abort(ingest, key="the key"))
    for table in (ingests, Ingests(store)):
        assert table.was_aborted("ns", "ref", key="the key")
        assert not table.was_aborted("ns", "ref", key="another")
        assert not table.was_aborted("ns", "ref", key="")
        assert table.has_leftovers()
    ingests.forget_aborted(time.time_ns() + 1)
    assert not ingests.was_aborted("ns", "ref", key="the key")
    assert not ingests.has_leftovers()


def test_bytes_of_an_abort_that_a_crash_cut_off_go_at_the_next_start(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(ingest := begin(ingests), 0, b"x")
    directory = ingests.abort(ingest, key="the key")
    ingest.close()
    assert os.path.exists(f"{directory}/data")
    assert Ingests(store).was_aborted("ns", "ref", key="the key")
    assert os.listdir(directory) == []


def test_a_finished_ingest_awaits_registration_across_restarts_until_it_is_noted(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(ingest := begin(ingests), 0, b"bytes")
    done = finish(ingests, ingest)
    digest = done.record.committed
    found = Ingests(store)
    assert found.get("ns", "ref") is None
    assert list(found.of("ns")) == []
    for table in (ingests, found):
        assert table.awaits_registration(digest)
        assert not table.awaits_registration(digest_of(b"other"))
    record = found.finished("ns", "ref")
    assert record is not None
    assert (record.record.key, record.record.committed_size) == ("key", 5)
    found.registered(record)
    later = Ingests(store)
    assert not later.awaits_registration(digest)
    assert later.finished("ns", "ref") is not None


def test_a_namespace_that_named_a_digest_has_registered_its_commits(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(ingest := begin(ingests), 0, b"bytes")
    digest = finish(ingests, ingest).record.committed
    ingests.was_named("other", digest)
    assert ingests.awaits_registration(digest)
    ingests.was_named("ns", digest)
    assert not ingests.awaits_registration(digest)


def test_a_new_ingest_takes_the_place_of_a_finished_one(store: BlobStore) -> None:
    ingests = Ingests(store)
    write(ingest := begin(ingests), 0, b"bytes")
    finish(ingests, ingest)
    assert begin(ingests).offset == 0
    assert ingests.finished("ns", "ref") is None
    assert again(store).status().offset == 0


def test_records_of_commits_are_bounded_but_for_those_that_await_registration(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FINISHED", 3)
    ingests = Ingests(store)
    for number in range(8):
        write(ingest := begin(ingests, f"ref-{number}"), 0, bytes([number]))
        done = finish(ingests, ingest)
        if number != 1:
            ingests.registered(done)
    kept = [number for number in range(8) if ingests.finished("ns", f"ref-{number}")]
    assert kept[0] == 1
    assert kept[-1] == 7
    assert len(kept) <= 4
    assert len(os.listdir(store.ingest_root)) == len(kept)


def test_the_least_recently_used_ingest_is_closed_and_opens_again(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    ingests = Ingests(store)
    many = [begin(ingests, f"ref-{number}") for number in range(4)]
    for ingest in many:
        write(ingest, 0, b"first ")
        ingests.opened(ingest)
        ingests.close_idle(lambda name: name == ("ns", "ref-0"))
    assert [ingest.is_open for ingest in many] == [True, False, False, True]
    write(many[1], 6, b"second")
    assert many[1].digest() == digest_of(b"first second")
    for ingest in many:
        ingest.close()


def test_a_record_cut_short_is_left_alone_and_replaced_by_a_new_ingest(store: BlobStore) -> None:
    ingest = begin(Ingests(store))
    with open(f"{ingest.directory}/meta", "w") as meta:
        meta.write('{"namesp')
    ingests = Ingests(store)
    assert ingests.get("ns", "ref") is None
    assert os.path.isdir(ingest.directory)
    write(fresh := begin(ingests), 0, b"x")
    assert again(store).status().offset == 1
    fresh.close()


def test_symbolic_links_lead_nowhere(store: BlobStore, root: str) -> None:
    outside = f"{root}/outside"
    os.mkdir(outside)
    with open(f"{outside}/file", "w") as file:
        file.write("precious")
    ingests = Ingests(store)
    for number, ref in enumerate(("data", "meta", "directory")):
        write(ingest := begin(ingests, ref), 0, b"x")
        ingest.close()
        path = ingest.directory if ref == "directory" else f"{ingest.directory}/{ref}"
        os.rename(path, f"{root}/away-{number}")
        os.symlink(f"{root}/away-{number}" if ref == "meta" else f"{outside}/file" if ref == "data" else outside, path)
    os.symlink(outside, f"{store.ingest_root}/tmp-link")
    os.symlink(outside, f"{store.ingest_root}/stranger")
    found = Ingests(BlobStore(os.path.dirname(store.ingest_root)))
    assert found.get("ns", "meta") is found.get("ns", "directory") is None
    ingest = again(store, "data")
    assert ingest.status().offset == 0
    with pytest.raises(DataLoss):
        ingest.open("sha256")
    write(ingest, 0, b"anew")
    assert ingest.digest() == digest_of(b"anew")
    ingest.close()
    for ref in ("meta", "directory"):
        write(fresh := begin(found, ref), 0, b"fresh")
        fresh.close()
        assert again(store, ref).status().offset == 5
    with open(f"{outside}/file") as file:
        assert file.read() == "precious"
    assert not os.path.lexists(f"{store.ingest_root}/tmp-link")


def test_a_directory_in_the_place_of_the_data_is_put_away_by_whoever_begins_anew(store: BlobStore) -> None:
    write(ingest := begin(Ingests(store)), 0, b"x")
    ingest.close()
    os.unlink(ingest.bytes_path)
    os.makedirs(f"{ingest.bytes_path}/deep/er")
    found = again(store)
    with pytest.raises(DataLoss):
        found.open("sha256")
    write(found, 0, b"anew")
    assert again(store).status().offset == 4
    found.close()


def test_a_record_that_names_no_digest_is_not_believed(store: BlobStore) -> None:
    ingest = begin(Ingests(store))
    for field in ("shared", "committed", "expected"):
        write_record(ingest.directory, msgspec.structs.replace(ingest.record, **{field: "sha256:../../../etc/passwd"}))
        assert Ingests(store).get("ns", "ref") is None
    for junk in (b"", b"[]", b"\xff", b"{}", b'{"namespace": 3}'):
        with open(f"{ingest.directory}/meta", "wb") as meta:
            meta.write(junk)
        assert Ingests(store).get("ns", "ref") is None


@pytest.mark.parametrize("size", [3, 20])
def test_data_that_somebody_else_changed_in_size_is_not_committed(store: BlobStore, size: int) -> None:
    write(ingest := begin(Ingests(store)), 0, b"0123456789")
    os.truncate(ingest.bytes_path, size)
    with pytest.raises(DataLoss, match=f"has {size} bytes on disk, not 10;"):
        ingest.sync()
    assert ingest.status().offset == size
    write(ingest, 0, b"anew")
    ingest.sync()
    assert ingest.digest() == digest_of(b"anew")
    ingest.close()
