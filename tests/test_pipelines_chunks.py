"""Parts of a run: nothing is lost, none is too large, and the rest of a run has the same parts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.manifest import Utterance
from pipelines.chunks import MAX_BYTES, MAX_RECORDINGS, MAX_S, chunks, share_of
from pipelines.inputs import Recording

DURATIONS = st.lists(st.sampled_from([0.0, 1.0, 5.0, 30.0, 60.0, 119.0, 500.0]), max_size=120)


def recordings_of(durations: list[float]) -> list[Recording]:
    return [
        Recording(utterance=Utterance(id=str(n), audio=Path(str(n)), duration_s=s), name=str(n))
        for n, s in enumerate(durations)
    ]


@given(DURATIONS)
def test_every_recording_is_in_one_part_in_order(durations: list[float]) -> None:
    recordings = recordings_of(durations)
    parts = list(chunks(recordings))
    assert [one for part in parts for one in part] == recordings
    for part in parts:
        assert 0 < len(part) <= MAX_RECORDINGS
        before_the_last = sum(one.utterance.duration_s or 0.0 for one in part[:-1])
        assert before_the_last < MAX_S


@given(DURATIONS, st.data())
def test_what_is_left_of_a_run_falls_into_the_same_parts(
    durations: list[float], data: st.DataObject
) -> None:
    parts = list(chunks(recordings_of(durations)))
    done = [data.draw(st.booleans()) for _ in parts]
    left = [part for part, is_done in zip(parts, done, strict=True) if not is_done]
    assert list(chunks(one for part in left for one in part)) == left


def test_where_lengths_are_not_known_sizes_tell(tmp_path: Path) -> None:
    def recording(name: str) -> Recording:
        utterance = Utterance(id=name, audio=tmp_path / name, duration_s=None)
        return Recording(utterance=utterance, name=name)

    (tmp_path / "half").write_bytes(bytes(MAX_BYTES // 2))
    assert share_of(recording("half")) == pytest.approx(0.5)
    assert share_of(recording("gone")) == 0.0
    assert [len(part) for part in chunks([recording("half")] * 5)] == [2, 2, 1]
    assert [len(part) for part in chunks([recording("gone")] * 30)] == [MAX_RECORDINGS, 6]
