import dataclasses
import tomllib
from typing import Any, Literal

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import OptionsError
from asr.options import from_table, require, to_table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    name: str
    degrees: float = 180.0
    minutes: int = 30
    fan: bool = False
    mode: Literal["bake", "grill", 3] = "bake"
    limit: float | None = None
    shelves: tuple[int, ...] = ()
    label: int | str = 0
    used: int = dataclasses.field(default=0, init=False)

    def __post_init__(self) -> None:
        require(self.degrees > 0, "degrees above 0", self.degrees)


OVENS = st.builds(
    Oven,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    degrees=st.floats(0.5, 1e9),
    minutes=st.integers(-(2**53), 2**53),
    fan=st.booleans(),
    mode=st.sampled_from(["bake", "grill", 3]),
    limit=st.none() | st.floats(allow_nan=False),
    shelves=st.lists(st.integers(0, 9)).map(tuple),
    label=st.integers(0, 9) | st.text("abc"),
)


def refusal(**table: object) -> str:
    with pytest.raises(OptionsError) as caught:
        from_table(Oven, {"name": "x"} | table, where="oven.toml [oven]")
    return str(caught.value).removeprefix("oven.toml [oven]: ")


@given(OVENS)
def test_settings_round_trip_through_a_toml_file(oven: Oven) -> None:
    assert from_table(Oven, tomllib.loads(tomli_w.dumps(to_table(oven))), where="") == oven


def test_keys_left_out_keep_their_defaults() -> None:
    assert from_table(Oven, {"name": "x", "minutes": 5}, where="") == Oven(name="x", minutes=5)


def test_none_and_what_is_no_setting_are_left_out_and_tuples_become_lists() -> None:
    table = to_table(Oven(name="x", shelves=(1, 2)))
    assert not {"limit", "used"} & set(table)
    assert table["shelves"] == [1, 2]


def test_unknown_keys_are_refused_and_known_ones_named() -> None:
    assert refusal(degres=1, fann=True) == (
        "unknown key degres, fann; known keys are name, degrees, minutes, fan, mode, limit, "
        "shelves, label"
    )
    # A field that is no setting is no key either.
    assert refusal(used=1).startswith("unknown key used")


def test_missing_keys_are_named() -> None:
    with pytest.raises(OptionsError, match=r"^recipe: missing key name$"):
        from_table(Oven, {}, where="recipe")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, "expected str, received 3"),
        ("degrees", "180", "expected float, received '180'"),
        ("degrees", True, "expected float, received True"),
        ("minutes", 2.0, "expected int, received 2.0"),
        ("minutes", True, "expected int, received True"),
        ("fan", 1, "expected bool, received 1"),
        ("mode", "boil", "expected one of 'bake', 'grill', 3, received 'boil'"),
        ("mode", 3.0, "expected one of 'bake', 'grill', 3, received 3.0"),
        ("limit", "no", "expected float or NoneType, received 'no'"),
        ("shelves", 3, "expected a list, received 3"),
        ("shelves", "12", "expected a list, received '12'"),
        ("shelves", [1, "2"], "expected int, received '2'"),
        ("label", 1.5, "expected int or str, received 1.5"),
    ],
)
def test_wrong_types_are_refused_with_the_key(key: str, value: Any, message: str) -> None:
    assert refusal(**{key: value}) == f"{key}: {message}"


def test_whole_numbers_pass_for_floats() -> None:
    oven = from_table(Oven, {"name": "x", "degrees": 200, "limit": 3}, where="")
    assert (oven.degrees, oven.limit) == (200.0, 3.0)
    assert type(oven.degrees) is type(oven.limit) is float


def test_the_settings_own_checks_say_where() -> None:
    assert refusal(degrees=-1) == "expected degrees above 0, received -1.0"
    with pytest.raises(OptionsError, match=r"^kitchen: expected degrees above 0"):
        from_table(Oven, {"name": "x", "degrees": 0}, where="kitchen")
