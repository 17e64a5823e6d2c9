"""Networks from strangers: nothing is unpacked, made or built that is not ours and there."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import BundleError
from models.bilstm import CELLS, BiLSTMOptions, build_bilstm
from pipelines.keras_file import CLASSES, MEMBERS, check_keras_file
from pipelines.network import load_network


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with every kind of layer that ours are made of."""
    path = tmp_path_factory.mktemp("networks") / "model.keras"
    options = BiLSTMOptions(units=6, num_layers=3, input_units=5, dropout=0.1)
    build_bilstm(options, num_features=4, vocab_size=3).save(path)
    return path


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tables(config: Any) -> list[dict[str, Any]]:
    if isinstance(config, dict):
        return [config, *(table for value in config.values() for table in tables(value))]
    return (
        [table for value in config for table in tables(value)] if isinstance(config, list) else []
    )


def with_config(saved: Path, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The network with each of its layers' configurations changed."""
    members = read(saved)
    config = json.loads(members["config.json"])
    for table in tables(config):
        if "class_name" in table:
            change(table)
    return write(path, members | {"config.json": json.dumps(config).encode()})


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        check_keras_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected a Keras network (")
    assert len(message) < 500
    return message


@pytest.mark.parametrize(
    "options",
    [
        BiLSTMOptions(),
        BiLSTMOptions(units=1, num_layers=1),
        BiLSTMOptions(units=2, num_layers=8, cell="rnn", dropout=0.0),
        BiLSTMOptions(units=320, num_layers=2, cell="gru"),
        BiLSTMOptions(units=256, num_layers=6, cell="rnn", bidirectional=False),
        BiLSTMOptions(units=128, num_layers=2, cell="grid"),
        BiLSTMOptions(units=128, num_layers=2, cell="attention"),
        *(BiLSTMOptions(units=4, cell=cell) for cell in CELLS),
    ],
    ids=repr,
)
@pytest.mark.parametrize("vocab_size", [2, 5000])
def test_networks_of_ours_pass(options: BiLSTMOptions, vocab_size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    build_bilstm(options, num_features=400, vocab_size=vocab_size).save(path)
    check_keras_file(path)


def test_what_passes_can_be_opened(saved: Path) -> None:
    check_keras_file(saved)
    assert load_network(saved.parent).count_params() > 0


def test_nothing_is_unpacked_that_was_packed_to_be_large(saved: Path, tmp_path: Path) -> None:
    bomb = read(saved) | {"model.weights.h5": bytes(50_000_000)}
    path = write(tmp_path / "model.keras", bomb, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 500_000
    assert "at most 8 times their size, received model.weights.h5 of 50,000,000" in refusal(path)
    with pytest.raises(BundleError, match="at most 8 times"):
        load_network(tmp_path)
    check_keras_file(write(path, read(saved), compression=zipfile.ZIP_DEFLATED))
    check_keras_file(write(path, read(saved), compression=zipfile.ZIP_BZIP2))
    assert "is not used" in refusal(write(path, read(saved), compression=zipfile.ZIP_LZMA))


def test_members_are_those_that_keras_writes(saved: Path, tmp_path: Path) -> None:
    members, path = read(saved), tmp_path / "model.keras"
    for name in MEMBERS:
        rest = {key: value for key, value in members.items() if key != name}
        assert "expected config.json" in refusal(write(path, rest))
    for name in ("../evil", "assets/vocabulary.txt", "/etc/passwd"):
        assert name in refusal(write(path, members | {name: b""}))
    with zipfile.ZipFile(write(path, members), "a") as archive, pytest.warns(match="Duplicate"):
        archive.writestr("config.json", b"{}")
    assert "config.json, config.json" in refusal(path)


def set_units(units: object) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        if "units" in table["config"]:
            table["config"]["units"] = units

    return change


@pytest.mark.parametrize("units", [20_000, 10**9, 10**100])
def test_layers_without_weights_to_fill_them_are_not_built(
    saved: Path, tmp_path: Path, units: int
) -> None:
    path = with_config(saved, tmp_path / "model.keras", set_units(units))
    assert "its layers would take up to" in refusal(path)


@pytest.mark.parametrize("cell", ["clockwork", "grid", "attention"])
def test_nor_are_those_of_other_cells(cell: Any, tmp_path: Path) -> None:
    def change(table: dict[str, Any]) -> None:
        options = table["config"]
        options.update({key: 10**6 for key in ("units", "width") if key in options})

    options = BiLSTMOptions(units=4, num_layers=1, cell=cell)
    build_bilstm(options, num_features=4, vocab_size=3).save(tmp_path / "fine.keras")
    path = with_config(tmp_path / "fine.keras", tmp_path / "model.keras", change)
    assert "its layers would take up to" in refusal(path)


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "8", {}])
def test_widths_are_whole_numbers(saved: Path, tmp_path: Path, units: object) -> None:
    path = with_config(saved, tmp_path / "model.keras", set_units(units))
    assert "units: expected whole numbers" in refusal(path)


def test_an_input_without_end_is_not_built(saved: Path, tmp_path: Path) -> None:
    def change(table: dict[str, Any]) -> None:
        if "batch_shape" in table["config"]:
            table["config"]["batch_shape"] = [None, None, 10**9]

    assert "its layers would take" in refusal(with_config(saved, tmp_path / "model.keras", change))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "Lambda"),
        ("keras.layers", "Embedding"),
        ("keras.layers", "TorchModuleWrapper"),
        ("os", "system"),
        ("builtins", "eval"),
        ("os", "Dense"),
        ("keras", ["Dense"]),
    ],
)
def test_other_classes_are_refused(saved: Path, tmp_path: Path, module: str, name: object) -> None:
    def change(table: dict[str, Any]) -> None:
        if table["class_name"] == "Dropout":
            table.update({"module": module, "class_name": name})

    assert "is not part of one" in refusal(with_config(saved, tmp_path / "model.keras", change))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "units", "batch_shape", "module", "layers"]),
            inner | st.sampled_from(sorted(CLASSES)),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_configuration_is_refused_or_harmless(saved: Path, config: Any) -> None:
    path = saved.parent / "any.keras"
    try:
        check_keras_file(write(path, read(saved) | {"config.json": json.dumps(config).encode()}))
    except BundleError as error:
        assert str(path) in str(error)  # noqa: PT017  either is right
    finally:
        path.unlink()


@given(st.data())
def test_any_damage_is_refused_or_harmless(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    directory = len(content) - 400  # where the archive's own tables are
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(
            st.integers(0, len(content) - 1) | st.integers(directory, len(content) - 1)
        )
        content[place] = data.draw(st.integers(0, 255))
    path = saved.parent / "damaged.keras"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        check_keras_file(path)
    except BundleError as error:
        assert str(path) in str(error)  # noqa: PT017  either is right
    finally:
        path.unlink()


def test_nesting_without_end_is_refused(saved: Path, tmp_path: Path) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    path = write(tmp_path / "model.keras", read(saved) | {"config.json": deep})
    refusal(path)
    refusal(write(path, read(saved) | {"config.json": b'{"units": ' + b"9" * 5000 + b"}"}))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    for content in (b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(100), io.BytesIO().getvalue()):
        path.write_bytes(content)
        refusal(path)
