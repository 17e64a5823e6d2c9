"""Speech from text, by espeak-ng: clear, quick, and the same samples every time.

The synthesizer is the shared library in the wheel `espeakng-loader` (the extra `demo`), so nothing
need be installed beside Python. It is a formant synthesizer: a voice is a page of numbers, which
makes many speakers cheap, and one millisecond gives about two seconds of speech.
"""

import ctypes
import functools
import re
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr.audio import SAMPLE_RATE, resample
from asr.errors import MissingExtraError
from asr.options import require

ACCENTS = (
    "en-us",
    "en-us-nyc",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-gb-scotland",
    "en-029",
)

# Other languages, whose voices say English words as they are spelt for them: with the sounds that
# people bring along who have learnt English late. Those whose samples do not depend on what was
# said before, which Greek's, Spanish's, Russian's and others' do.
TONGUES = ("de", "fr", "hi", "it", "pt", "ro")

# Of espeak-ng's voice variants, those whose samples do not depend on what was said before. Left
# out: Klatt's synthesizer (its resonators ring on), those that read the C library's random numbers
# (Reed, caleb), those that leave settings behind (robosoft2), and those that clip.
TIMBRES = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo"),
    *("Lee", "Mario", "Michael", "Mike", "Nguyen", "RicishayMax", "anika", "announcer", "aunty"),
    *("belinda", "boris", "edward", "grandma", "grandpa", "gustave", "ian", "iven3", "iven4"),
    *("john", "kaukovalta", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo"),
    *("paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2"),
    *("travis", "victor", "zac"),
)

# Numbers of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_IPA = 2
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4

# At 100, the usual volume, loud voices reach the library's gain control, whose state outlives the
# utterance; at 40 none does.
_STEADY_VOLUME = 40
_ENGLISH_DATA = ("en_dict", "intonations", "phondata", "phonindex", "phontab")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A synthetic speaker.

    Attributes:
        name: What the speaker is called.
        accent: One of `ACCENTS`, or of `TONGUES`.
        timbre: One of `TIMBRES`: formants, bandwidths and breath.
        pitch: 0 to 99; 50 is the timbre's own.
        pitch_range: 0 (monotone) to 99; 50 is the timbre's own.
        rate: Words per minute, 80 to 450.
        tract: Length of the vocal tract as a multiple of the timbre's, 0.75 to 1.33. A longer one
            lowers the formants, and the pitch with them.
    """

    name: str
    accent: str = "en-us"
    timbre: str = "m3"
    pitch: int = 50
    pitch_range: int = 50
    rate: int = 160
    tract: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what the synthesizer does not have."""
        accents = (*ACCENTS, *TONGUES)
        require(self.accent in accents, f"an accent among {', '.join(accents)}", self.accent)
        require(self.timbre in TIMBRES, f"a timbre among {', '.join(TIMBRES)}", self.timbre)
        require(0 <= self.pitch <= 99, "a pitch from 0 to 99", self.pitch)
        require(0 <= self.pitch_range <= 99, "a pitch range from 0 to 99", self.pitch_range)
        require(80 <= self.rate <= 450, "a rate from 80 to 450 words per minute", self.rate)
        require(0.75 <= self.tract <= 1.33, "a vocal tract from 0.75 to 1.33", self.tract)


def synthesise(
    text: str, voice: Voice, *, sample_rate: int = SAMPLE_RATE
) -> npt.NDArray[np.float32]:
    """Speaks a text.

    The samples depend on the text and the voice alone, not on what was spoken before, so a corpus
    can be made again bit by bit on the same kind of machine. The library keeps global state; calls
    from several threads take turns.

    Args:
        text: Spelt for the voice's language; figures and abbreviations are spoken as words.
        voice: Who speaks.
        sample_rate: Of the result, in Hz.

    Returns:
        float32 [num_samples] in -1..1, well below full scale, with a short pause at the end.

    Raises:
        OptionsError: The text holds nothing to speak.
        MissingExtraError: espeak-ng is not installed, or does not run on this machine.
    """
    require(any(map(str.isalnum, text)), "a text with something to speak", text)
    native, native_rate = _engine().speak(text, voice)
    # Played slower, everything that resonates is longer; the rate was raised to make up for it.
    return resample(native, from_rate=round(native_rate / voice.tract), to_rate=sample_rate)


def phonemes(text: str, language: str) -> list[str]:
    """Returns how a text is pronounced, sound by sound.

    Args:
        text: Words of the language.
        language: As espeak-ng calls it, such as `en-us`, `de` or `pt-br`.

    Returns:
        Signs of the International Phonetic Alphabet, with those of stress and length; each is what
        espeak-ng takes for one sound, like `ˈaɪ` or `ɔːɹ`.

    Raises:
        OptionsError: It does not know the language.
        MissingExtraError: As `synthesise`.
    """
    return _engine().phonemes(text, language)


def require_espeak() -> None:
    """Makes sure that espeak-ng can speak.

    Raises:
        MissingExtraError: It is not installed, or does not run on this machine.
    """
    _engine()


class _Engine:
    """The shared library, initialised once in a process."""

    def __init__(self, library: ctypes.CDLL, data: Path) -> None:
        self._library = library
        # The library takes at most 160 bytes of path, in the system's 8-bit encoding on Windows,
        # and an environment's own path may exceed both: it is given a copy, without the flutter.
        folder = tempfile.mkdtemp(prefix="asr-espeak-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._source, self._data = data, Path(folder) / "espeak-ng-data"
        _copy_steady(data, self._data)
        self._chunks: list[bytes] = []
        self._callback = _CALLBACK(self._receive)  # kept alive as long as the library may call
        self._lock = threading.Lock()
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint),
            *(ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [
            *(ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int)
        ]
        self.sample_rate = library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, folder.encode(), _DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise MissingExtraError("espeak-ng does not start; install the extra `demo` again")
        library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: Voice) -> tuple[npt.NDArray[np.float32], int]:
        """Returns float32 [num_samples] at the library's own rate, and that rate in Hz."""
        data = text.encode()
        with self._lock:
            self._set_voice(voice)
            self._chunks.clear()
            status = self._library.espeak_Synth(
                data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
            samples = np.frombuffer(b"".join(self._chunks), np.int16)
        require(status == 0 and samples.size > 0, "a text espeak-ng can speak", text)
        return samples.astype(np.float32) / np.float32(32768), self.sample_rate

    def phonemes(self, text: str, language: str) -> list[str]:
        """Returns the sounds of a text."""
        pointer = ctypes.c_char_p(text.encode())
        clauses = []
        with self._lock:
            self._choose(language)
            while pointer.value is not None:  # moved on, a clause at a time
                clauses.append(
                    self._library.espeak_TextToPhonemes(
                        ctypes.byref(pointer), _CHARS_UTF8, _IPA | ord("_") << 8
                    )
                )
        said = " ".join((clause or b"").decode() for clause in clauses)
        return said.replace("_", " ").split()

    def _choose(self, name: str) -> None:
        """Makes a language, or a voice of one, the one that is spoken."""
        dictionary = f"{re.split('[-+]', name)[0]}_dict"
        known = (self._source / dictionary).is_file()
        if known and not (self._data / dictionary).exists():
            shutil.copy(self._source / dictionary, self._data)
        status = self._library.espeak_SetVoiceByName(name.encode()) if known else -1
        require(status == 0, "a language or voice espeak-ng has", name)

    def _set_voice(self, voice: Voice) -> None:
        self._choose(f"{voice.accent}+{voice.timbre}")
        for parameter, value in (
            (_RATE, round(voice.rate * voice.tract)),
            (_VOLUME, _STEADY_VOLUME),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(1)  # breath is noise

    def _receive(self, samples: int | None, num_samples: int, events: int | None) -> int:
        del events
        if samples and num_samples > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * num_samples))
        return 0  # go on


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ENGINE_LOCK = threading.Lock()


def _engine() -> _Engine:
    with _ENGINE_LOCK:
        return _start_engine()


@functools.cache
def _start_engine() -> _Engine:
    try:
        import espeakng_loader
    except ImportError:
        raise MissingExtraError(
            "speech from text needs espeak-ng; install the extra `demo`: "
            "pip install 'bilstm-asr[demo]'"
        ) from None
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise MissingExtraError(
            f"the espeak-ng of the extra `demo` does not run on this machine: {error}"
        ) from None
    return _Engine(library, Path(espeakng_loader.get_data_path()))


def _copy_steady(source: Path, target: Path) -> None:
    """Copies what English needs, without the slow waver of the voices' pitch (flutter).

    Of other languages there are the names, and dictionaries once they are spoken. The
    waver goes on from utterance to utterance and cannot be set back, so with it the same words
    would come out differently each time; roughness counts glottal cycles in the same way.
    """
    shutil.copytree(source / "lang", target / "lang")
    for name in _ENGLISH_DATA:
        shutil.copy(source / name, target)
    variants = target / "voices" / "!v"
    variants.mkdir(parents=True)
    for timbre in TIMBRES:
        text = (source / "voices" / "!v" / timbre).read_text(encoding="latin-1")
        kept = [line for line in text.splitlines() if not line.startswith(("flutter", "roughness"))]
        lines = [*kept, "flutter 0", "roughness 0", ""]
        (variants / timbre).write_text("\n".join(lines), encoding="latin-1")
