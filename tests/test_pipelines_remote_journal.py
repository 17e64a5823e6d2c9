"""A journal of objects is believed after any kind of end, and says no less when it is joined."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import folder_store
import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import remote_journal
from pipelines.journal import Record
from pipelines.remote_journal import RemoteJournal
from pipelines.remote_staging import placed
from pipelines.usage import UsageError

J = "store://b/.asr/j"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    fsspec.register_implementation("store", folder_store.FolderStore, clobber=True)
    monkeypatch.setenv("STORE", str(tmp_path))
    monkeypatch.setattr(remote_journal, "NUM_JOINED", 4)
    return tmp_path


def bare(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "content"}


def numbers(journal: RemoteJournal) -> list[int]:
    return [record["n"] for _, record in journal.records() if "n" in record]


def begun() -> RemoteJournal:
    journal = RemoteJournal(J, bare)
    list(journal.records())
    journal.begin()
    return journal


def record(n: int) -> Record:
    return {"n": n, "content": "né\n" * n}


def test_records_come_back_joined_or_not(store: Path) -> None:
    journal = begun()
    places = [journal.append(record(n)) for n in range(23)]
    assert len(list(store.iterdir())) < 11
    for n in (0, 22, 7, 13, 3):
        assert journal.at(places[n])["n"] == n
    journal.close()
    journal = RemoteJournal(J, bare)
    found = {one["n"]: (place, one) for place, one in journal.records() if "n" in one}
    assert [found[n][0] for n in range(23)] == places
    # What is joined says nothing that was of use for a while alone.
    assert ["content" in found[n][1] for n in (0, 10, 22)] == [False, False, True]
    assert [journal.at(place)["n"] for place in reversed(places)] == list(reversed(range(23)))
    journal.settle()
    assert not any(b"content" in path.read_bytes() for path in store.iterdir())
    names = sorted(path.name for path in store.iterdir())
    journal.settle()
    assert sorted(path.name for path in store.iterdir()) == names
    assert [journal.at(place)["n"] for place in places] == list(range(23))
    journal.close()


@given(ends=st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), max_size=8))
def test_whatever_ends_it_no_record_is_lost(
    ends: list[tuple[int, bool, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each run writes until its time has come; the next finds all that was written before."""
    done: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        fsspec.register_implementation("store", folder_store.FolderStore, clobber=True)
        patch.setenv("STORE", str(tmp_path_factory.mktemp("store")))
        patch.setattr(remote_journal, "NUM_JOINED", 4)
        put = folder_store._put
        for after, torn, is_there in ends:
            left = iter(range(after, -1, -1))

            def failing(
                key: str,
                data: bytes,
                left: Iterator[int] = left,
                torn: bool = torn,
                is_there: bool = is_there,
            ) -> None:
                if next(left, 0) == 0:
                    if torn or is_there:
                        put(key, data if is_there else data[: len(data) // 2])
                    raise OSError("the end")
                put(key, data)

            patch.setattr(folder_store, "_put", failing)
            journal = RemoteJournal(J, bare)
            try:
                found = numbers(journal)
                # What was being written when it ended may be there as well.
                assert found[: len(done)] == done
                assert found in (done, [*done, len(done)])
                done = found
                journal.begin()
                while True:
                    journal.append(record(len(done)))
                    done.append(len(done))
            except OSError:
                pass
            finally:
                journal.close()
        patch.setattr(folder_store, "_put", put)
        journal = begun()
        journal.settle()
        journal.close()
        journal = RemoteJournal(J, bare)
        found = numbers(journal)
        journal.close()
        assert found in (done, [*done, len(done)])


@pytest.mark.parametrize("num_records", range(1, 10))
def test_nothing_of_use_for_a_while_is_left_in_the_end(store: Path, num_records: int) -> None:
    for run in range(3):
        journal = RemoteJournal(J, bare)
        assert numbers(journal) == list(range(run * num_records))
        journal.begin()
        for n in range(run * num_records, (run + 1) * num_records):
            journal.append(record(n))
        journal.settle()
        journal.close()
        assert not any(b"content" in path.read_bytes() for path in store.iterdir())
        names = sorted(path.name for path in store.iterdir())
        journal = begun()
        journal.settle()
        journal.close()
        assert sorted(path.name for path in store.iterdir()) == names


def test_what_cannot_be_removed_is_in_nobodys_way(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("AccessDenied")

    with monkeypatch.context() as patch:
        patch.setattr(folder_store.FolderStore, "_rm", refuse)
        journal = begun()
        for n in range(10):
            journal.append(record(n))
        journal.settle()
        journal.close()
    assert len(list(store.iterdir())) > 10
    begun_again = begun()
    begun_again.settle()
    begun_again.close()
    assert len(list(store.iterdir())) < 5
    journal = RemoteJournal(J, bare)
    assert numbers(journal) == list(range(10))
    for n in range(10, 15):
        journal.append(record(n))
    journal.settle()
    journal.close()
    assert len(list(store.iterdir())) < 10
    journal = RemoteJournal(J, bare)
    assert numbers(journal) == list(range(15))
    journal.close()


@pytest.mark.usefixtures("store")
def test_two_programs_do_not_write_to_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    journal = begun()
    assert len(list(tmp_path.glob("*.lock"))) == 1
    with pytest.raises(UsageError, match="another program is writing to it"):
        RemoteJournal(J, bare)
    journal.close()
    journal.close()
    begun().close()
    assert list(tmp_path.glob("*.lock")) == []


@pytest.mark.usefixtures("store")
def test_a_journal_of_another_version_is_refused() -> None:
    folder_store._put("b/.asr/j/0000000000-0000000000.jsonl", b'[0,{"journal":2}]\n')
    journal = RemoteJournal(J, bare)
    with pytest.raises(UsageError, match=f"{J}: expected a journal of version 1"):
        list(journal.records())
    journal.close()


def test_what_is_of_use_for_a_while_is_what_waits() -> None:
    made = {"source": "s", "file": [1, 0, 0, "d", "t"], "content": "x", "over": [2, "u"]}
    told: Record = {
        "settings": "s",
        "recordings": [{"name": "a", "outputs": {"txt": made}}, {"name": "b", "failure": "f"}],
    }
    (first, second) = placed(told)["recordings"]
    assert first["outputs"] == {"txt": {"source": "s", "file": [1, 0, 0, "d", "t"]}}
    assert second == {"name": "b", "failure": "f"}
    assert placed({"boot": "x"}) == {"boot": "x"}
