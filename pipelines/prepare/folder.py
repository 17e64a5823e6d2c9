"""A plain folder of one's own: each recording beside a text file of the same name.

Where: yours. Licence: yours.
Labelled: `walk.wav` by `walk.txt`, which holds what is said, in UTF-8; line ends count as spaces.
Recordings may lie in sub-folders: the first folder below the one given names the speaker
(`anna/monday/walk.wav` is anna's). Recordings lying directly in the folder have no named speaker.
Official split: none.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import Corpus, Entry, Fault, by_stem, files_below, read_lines

# Text files that people keep beside recordings and that transcribe none of them.
NOT_TRANSCRIPTS = {"readme", "license", "licence", "copying", "changelog", "notes"}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the recordings at or below a folder that have a transcript."""
    del parts  # a folder has none
    folders: dict[Path, list[Path]] = {}
    for path in files_below(source):
        folders.setdefault(path.parent, []).append(path)
    for paths in folders.values():
        audio = by_stem(paths)
        texts = {path.stem: path for path in paths if path.suffix.lower() == ".txt"}
        for stem in sorted(audio):
            yield _read_pair(source, audio[stem], texts.get(stem))
        for stem in sorted(texts.keys() - audio.keys()):
            if stem.lower() not in NOT_TRANSCRIPTS:
                yield Fault(where=str(texts[stem]), reason=f"no audio named {stem} beside it")


def _read_pair(source: Path, audio: Path, transcript: Path | None) -> Entry:
    if transcript is None:
        return Fault(where=str(audio), reason=f"no transcript {audio.stem}.txt beside it")
    try:
        text = " ".join(line for _, line in read_lines(transcript))
    except ManifestError as error:
        return Fault(where=str(transcript), reason=str(error))
    places = audio.relative_to(source).with_suffix("").parts
    return Utterance(
        # Spaces would cut an id in two in the formats of Kaldi and NIST.
        id=re.sub(r"\s", "_", "/".join(places)),
        audio=audio,
        duration_s=None,
        text=text,
        speaker=places[0] if len(places) > 1 else None,
    )


CORPUS = Corpus(
    name="folder",
    title="your own recordings, each beside its .txt",
    layout="[SPEAKER/]NAME.wav and NAME.txt, in UTF-8",
    licence="yours",
    read=read,
)
