"""What a fuzzer once found, and what it begins with: read, or refused with an error of ours."""

from pathlib import Path

import fuzzing
import pytest
from hypothesis import given
from hypothesis import strategies as st

FOUND = sorted(path for path in fuzzing.CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_is_no_crash(path: Path) -> None:
    assert path.stat().st_size <= 8192
    fuzzing.READERS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("reader", fuzzing.READERS)
def test_what_a_fuzzer_begins_with_is_no_crash(reader: str) -> None:
    for seed in [b"", *fuzzing.seeds(reader)]:
        fuzzing.READERS[reader](seed)


@pytest.mark.parametrize("reader", fuzzing.READERS)
@given(data=st.data())
def test_good_inputs_with_some_bytes_changed_are_no_crash(reader: str, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(fuzzing.seeds(reader))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    fuzzing.READERS[reader](bytes(content))
