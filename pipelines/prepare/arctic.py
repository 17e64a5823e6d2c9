"""CMU ARCTIC: 1132 phonetically balanced English sentences, each read by all of 18 voices.

Where: http://festvox.org/cmu_arctic/ (J. Kominek, A. Black, 2004).
Licence: free for any use, with its notice kept.
Labelled: etc/txt.done.data of a voice, lines of the form ( arctic_a0001 "Author of the danger
trail, Philip Steels, etc." ) with case and punctuation. The speaker is the voice (bdl, slt, ...).
Official split: none. All voices read the same sentences, so a split by speaker keeps the voices
apart but not the words: what is measured is how a known sentence is heard from a new voice.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import ManifestError
from asr.manifest import Utterance
from pipelines.prepare.corpus import (
    Archive,
    Corpus,
    Entry,
    Fault,
    audio_in,
    chosen,
    files_below,
    read_lines,
)

TABLE = "txt.done.data"
LINE = re.compile(r'\(\s*(?P<name>\S+)\s+"(?P<text>.*)"\s*\)')
FOLDER = re.compile(r"cmu_us_(?P<voice>\w+)_arctic")
# As torchaudio's reader of the same archives pins them.
SHA256 = {
    "aew": "645cb33c0f0b2ce41384fdd8d3db2c3f5fc15c1e688baeb74d2e08cab18ab406",
    "ahw": "024664adeb892809d646a3efd043625b46b5bfa3e6189b3500b2d0d59dfab06c",
    "aup": "2c55bc3050caa996758869126ad10cf42e1441212111db034b3a45189c18b6fc",
    "awb": "d74a950c9739a65f7bfc4dfa6187f2730fa03de5b8eb3f2da97a51b74df64d3c",
    "axb": "dd65c3d2907d1ee52f86e44f578319159e60f4bf722a9142be01161d84e330ff",
    "bdl": "26b91aaf48b2799b2956792b4632c2f926cd0542f402b5452d5adecb60942904",
    "clb": "3f16dc3f3b97955ea22623efb33b444341013fc660677b2e170efdcc959fa7c6",
    "eey": "8a0ee4e5acbd4b2f61a4fb947c1730ab3adcc9dc50b195981d99391d29928e8a",
    "fem": "3fcff629412b57233589cdb058f730594a62c4f3a75c20de14afe06621ef45e2",
    "gka": "dc82e7967cbd5eddbed33074b0699128dbd4482b41711916d58103707e38c67f",
    "jmk": "3a37c0e1dfc91e734fdbc88b562d9e2ebca621772402cdc693bbc9b09b211d73",
    "ksp": "8029cafce8296f9bed3022c44ef1e7953332b6bf6943c14b929f468122532717",
    "ljm": "b23993765cbf2b9e7bbc3c85b6c56eaf292ac81ee4bb887b638a24d104f921a0",
    "lnh": "4faf34d71aa7112813252fb20c5433e2fdd9a9de55a00701ffcbf05f24a5991a",
    "rms": "c6dc11235629c58441c071a7ba8a2d067903dfefbaabc4056d87da35b72ecda4",
    "rxr": "1fa4271c393e5998d200e56c102ff46fcfea169aaa2148ad9e9469616fbfdd9b",
    "slp": "54345ed55e45c23d419e9a823eef427f1cc93c83a710735ec667d068c916abf1",
    "slt": "7c173297916acf3cc7fcab2713be4c60b27312316765a90934651d367226b4ea",
}


def read(source: Path, parts: Sequence[str] = ()) -> Iterator[Entry]:
    """Yields the utterances of every voice at or below a folder.

    Args:
        source: A voice's folder `cmu_us_bdl_arctic`, or one that holds several.
        parts: Voices to read (`bdl`, `slt`); all if empty.
    """
    tables = [path for path in files_below(source.absolute()) if path.name == TABLE]
    voices = chosen({_voice(path) for path in tables}, parts, part="voice")
    for table in tables:
        if _voice(table) in voices:
            yield from _read_voice(table, _voice(table))


def _read_voice(table: Path, voice: str) -> Iterator[Entry]:
    audio = audio_in(table.parents[1] / "wav")
    try:
        lines = read_lines(table)
    except ManifestError as error:
        yield Fault(where=str(table), reason=str(error))
        return
    for number, line in lines:
        match = LINE.fullmatch(line)
        if not match:
            yield Fault(where=f"{table}:{number}", reason='expected ( id "text" )')
        elif match["name"] not in audio:
            reason = f"no audio named {match['name']} in wav/"
            yield Fault(where=f"{table}:{number}", reason=reason)
        else:
            yield Utterance(
                id=f"{voice}_{match['name']}",
                audio=audio[match["name"]],
                duration_s=None,
                text=match["text"].strip(),
                speaker=voice,
                language="en",
            )


def _voice(table: Path) -> str:
    name = table.parents[1].name
    match = FOLDER.fullmatch(name)
    return match["voice"] if match else name


CORPUS = Corpus(
    name="arctic",
    title="CMU ARCTIC, 1132 sentences by each of 18 voices",
    layout="cmu_us_VOICE_arctic/ with etc/txt.done.data and wav/",
    licence="free, with its notice",
    read=read,
    part="voice",
    archives={
        voice: Archive(
            url=f"http://festvox.org/cmu_arctic/packed/cmu_us_{voice}_arctic.tar.bz2",
            name=f"cmu_us_{voice}_arctic.tar.bz2",
            size="about 100 MB",
            sha256=digest,
        )
        for voice, digest in SHA256.items()
    },
)
