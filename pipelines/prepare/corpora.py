"""The corpora that can be prepared, by name."""

import difflib
from collections.abc import Mapping

from asr.errors import OptionsError
from pipelines.prepare import (
    an4,
    arctic,
    common_voice,
    folder,
    fsdd,
    librispeech,
    ljspeech,
    speech_commands,
    table,
)
from pipelines.prepare.corpus import Corpus

CORPORA: Mapping[str, Corpus] = {
    module.CORPUS.name: module.CORPUS
    for module in (
        *(folder, table, librispeech, common_voice, ljspeech),
        *(arctic, fsdd, speech_commands, an4),
    )
}


def find_corpus(name: str) -> Corpus:
    """Returns a corpus by its name; hyphens and case do not matter.

    Raises:
        OptionsError: There is none of that name; the known ones are listed.
    """
    plain = name.lower().replace("-", "_")
    if plain in CORPORA:
        return CORPORA[plain]
    near = difflib.get_close_matches(plain, CORPORA, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise OptionsError(f"expected a corpus, received {name!r}{hint}; known: {', '.join(CORPORA)}")
