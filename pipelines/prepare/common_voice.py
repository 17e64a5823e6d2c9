"""Common Voice: sentences read aloud by volunteers, in more than a hundred languages.

Where: https://commonvoice.mozilla.org (R. Ardila et al., LREC 2020). It is given after agreeing
to its terms on that page, so it has no address to download from here.
Licence: CC0.
Labelled: the sentence shown, with case and punctuation, checked by listeners' votes. The speaker
is `client_id`; gender, age and accent are kept where the volunteer gave them.
Official split: train.tsv, dev.tsv and test.tsv, by speaker. They leave out most repetitions of a
sentence; `--parts validated` takes every recording that passed, split by speaker here.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asr.errors import ManifestError, OptionsError
from asr.manifest import Utterance
from pipelines.prepare.corpus import SIDES, Corpus, Entry, Fault, audio_in, chosen

KEPT = ("gender", "age", "accent", "accents", "variant")
NOT_SPEECH = {"reported", "clip_durations", "unvalidated_sentences", "validated_sentences"}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the recordings of one language.

    Args:
        source: The folder that holds clips/ and the tables, or one or two above it.
        parts: Tables to read, without ending; train, dev and test if empty, or else validated.
    """
    root = _find_root(source)
    there = {path.stem: path for path in sorted(root.glob("*.tsv")) if path.stem not in NOT_SPEECH}
    official = tuple(side for side in SIDES if side in there)
    names = parts or official or tuple(name for name in ("validated",) if name in there)
    wanted = chosen(there, names, part="table")
    audio = audio_in(root / "clips")
    for name in (name for name in there if name in wanted):
        yield from _read_table(there[name], audio)


def _find_root(source: Path) -> Path:
    roots = [
        clips.parent
        for pattern in ("clips", "*/clips", "*/*/clips")
        for clips in sorted(source.glob(pattern))
        if any(clips.parent.glob("*.tsv"))
    ]
    if not roots:
        raise ManifestError(f"{source}: expected a folder with clips/ and tables such as train.tsv")
    if len(roots) > 1:
        listed = ", ".join(str(root) for root in roots)
        raise OptionsError(f"{source} holds several languages; give one of {listed}")
    return roots[0]


def _read_table(table: Path, audio: Mapping[str, Path]) -> Iterator[Entry]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        # The tables quote nothing: a sentence may begin with a quotation mark of its own.
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = {"client_id", "path", "sentence"} - set(rows.fieldnames or ())
        if missing:
            reason = (
                f"expected columns client_id, path and sentence; no {', '.join(sorted(missing))}"
            )
            raise ManifestError(f"{table}: {reason}")
        try:
            for row in rows:
                yield _utterance(row, audio, table=table, line=rows.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            yield Fault(where=f"{table}:{rows.line_num}", reason=f"cannot be read on: {error}")


def _utterance(
    row: Mapping[str, str | None], audio: Mapping[str, Path], *, table: Path, line: int
) -> Entry:
    where = f"{table}:{line}"
    name = (row["path"] or "").strip()
    stem = Path(name).stem
    if not name or row["sentence"] is None:
        return Fault(where=where, reason="the line is cut short")
    # A clip's name holds no dot but that of its ending, which some releases leave out.
    if stem not in audio:
        return Fault(where=where, reason=f"no audio named {stem} in clips/")
    return Utterance(
        id=stem,
        audio=audio[stem],
        duration_s=None,
        text=row["sentence"].strip(),
        speaker=row["client_id"] or None,
        language=row.get("locale") or None,
        extra={"subset": table.stem} | {key: row[key] for key in KEPT if row.get(key)},
    )


CORPUS = Corpus(
    name="common_voice",
    title="Common Voice, read sentences in many languages",
    layout="train.tsv, dev.tsv, test.tsv and clips/",
    licence="CC0",
    read=read,
    part="table",
    sides={side: side for side in SIDES},
)
