"""A card's table, restated: what is said under a name is said once, and nothing else changes."""

import string

from hypothesis import given
from hypothesis import strategies as st

from pipelines.card import described_base
from pipelines.card_table import restated, stated

ROWS = "| dev WER | 9.00 % (greedy decoding) |\n| date | today |\n"
CARD = f"# Model\n\n| | |\n|---|---|\n{ROWS}\nSaid.\n"
NAMES = st.text(string.ascii_letters + " ()+.", min_size=1).map(str.strip).filter(bool)
VALUES = st.text(string.ascii_letters + string.digits + " %\\.()", min_size=1).map(str.strip)


def test_a_row_is_replaced_where_it_stands_and_a_new_one_comes_last() -> None:
    card = restated(CARD, {"dev WER": "8.00 %", "decoding": "greedy"})
    assert card == CARD.replace("9.00 % (greedy decoding)", "8.00 %").replace(
        "| today |\n", "| today |\n| decoding | greedy |\n"
    )


@given(st.dictionaries(NAMES, VALUES.filter(bool)))
def test_what_is_stated_is_found_again_and_stating_it_twice_changes_nothing(
    rows: dict[str, str],
) -> None:
    rows = {name: value for name, value in rows.items() if name.lower() not in ("date", "dev wer")}
    card = restated(CARD, rows)
    assert restated(card, rows) == card
    for name, value in rows.items():
        assert f"| {name} | {value} |" in card.split("\n")
    kept = [line for line in card.split("\n") if line in CARD.split("\n")]
    assert kept == CARD.split("\n")


def test_a_card_without_a_table_gets_one() -> None:
    assert stated(restated("", {"dev WER": "8.00 %"}), "dev WER") == "8.00 %"
    assert stated(restated("Mine.\n", {"a": "b"}), "a") == "b"


def test_what_a_model_was_before_is_told_with_what_it_learnt_from() -> None:
    card = restated(
        CARD, {"trained on": "2 h", "data licence": "CC0", "begun from": "a; trained on 1 h"}
    )
    assert described_base("b", card) == (
        "b; trained on 2 h; data licence CC0; begun from a; trained on 1 h"
    )
    assert described_base("b", "") == "b"
