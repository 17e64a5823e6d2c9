"""One pass over the recordings: what is learnt of them while they are transcribed."""

import copy
import dataclasses
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from asr.audio import SAMPLE_RATE, load_audio, write_wav
from asr.decoding import DecodingOptions, ctc_log_probability
from asr.features import FeatureOptions
from asr.manifest import Utterance
from asr.recognizer import Recognizer
from asr.snr import estimate_snr_db
from asr.text import TextOptions
from asr.transcript import Transcript
from asr.vocabulary import Vocabulary
from pipelines import speech
from pipelines.evaluate import evaluate_recognizer
from pipelines.listening import Listener, NotedTranscript
from pipelines.metrics import metrics
from pipelines.recognition import Result, recognise
from pipelines.suspects import NUM_LISTED, ReferenceLosses, find_suspects

Floats = npt.NDArray[np.float32]
LETTERS = Vocabulary.from_characters(" abc")


def hears_a(
    features: Floats, lengths: npt.NDArray[np.int32]
) -> tuple[Floats, npt.NDArray[np.int32]]:
    """A network that hears `a` in whatever it is given."""
    logits = np.zeros((*features.shape[:2], len(LETTERS)), np.float32)
    logits[:, :, 0] = 8.0
    logits[:, 10, 2] = 10.0
    return logits, lengths


def recognizer() -> Recognizer:
    return Recognizer(
        features=FeatureOptions(),
        text=TextOptions(),
        vocabulary=LETTERS,
        decoding=DecodingOptions(),
        network=hears_a,
    )


def recorded(folder: Path, *texts: str, seconds: float = 0.3) -> list[Utterance]:
    rng = np.random.default_rng(len(texts))
    items = []
    for n, text in enumerate(texts):
        path = folder / f"u{n:03d}.wav"
        # Of many lengths, so that they are heard in another order than they stand in.
        size = round((seconds + n % 5 / 100) * SAMPLE_RATE)
        write_wav(path, rng.uniform(-0.5, 0.5, size).astype(np.float32))
        duration_s = size / SAMPLE_RATE
        items.append(Utterance(id=path.stem, audio=path, duration_s=duration_s, text=text))
    return items


def test_every_recording_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = recorded(tmp_path, *["a"] * 30, "c b c b")
    opened: list[Path] = []

    def load(path: Path, **part: Any) -> Floats:
        opened.append(path)
        return load_audio(path, **part)

    monkeypatch.setattr(speech, "load_audio", load)
    found = evaluate_recognizer(recognizer(), items, quiet=True)
    assert sorted(opened) == [item.audio for item in items]
    assert [one.row.id for one in found.suspects] == ["u030"]
    assert found.snr_db.keys() == found.utterances.keys()


def test_notes_are_of_the_recording_they_are_said_to_be_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.transcriptions._GROUP_S", 1.0)
    items = recorded(tmp_path, "a", "b", "c", "a b", "b", "c", "a c", "b b")
    items[2].audio.unlink()
    items[5].audio.write_bytes(b"no sound")
    listener = Listener(recognizer(), num_utterances=len(items))
    result = recognise(listener, items, hear=listener.hear, quiet=True)
    assert set(result.failures) == {"u002", "u005"}
    heard = [item for item in items if item.id not in result.failures]
    assert listener.snr_db.keys() == listener.digests.keys() == {item.id for item in heard}
    assert listener.losses is not None
    for item in heard:
        samples = load_audio(item.audio)
        assert listener.snr_db[item.id] == estimate_snr_db(samples, sample_rate=SAMPLE_RATE)
        (log_probs,) = recognizer().log_probs([recognizer().extract(samples)])
        tokens = LETTERS.encode(item.text or "")
        loss = -ctc_log_probability(log_probs, tokens, blank_id=LETTERS.blank_id) / len(tokens)
        if item.text != "a":
            assert listener.losses.wrong[item.id][0] == pytest.approx(loss, rel=1e-4)
    assert len(set(listener.digests.values())) == len(heard)


def test_a_listener_transcribes_as_its_recognizer_does(tmp_path: Path) -> None:
    items = recorded(tmp_path, "a", "b", "c")
    listener = Listener(recognizer(), num_utterances=3)
    expected = recognise(recognizer(), items, quiet=True)
    found = recognise(listener, items, hear=listener.hear, quiet=True)
    assert found.hypotheses == expected.hypotheses
    assert found.confidences == expected.confidences
    assert listener.text == recognizer().text


def test_notes_are_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.transcriptions._GROUP_S", 0.5)
    listener = Listener(recognizer(), num_utterances=40)
    shown: list[weakref.ref[Floats]] = []
    most = 0

    def hear(result: Result) -> None:
        nonlocal most
        assert isinstance(result.transcript, NotedTranscript)
        assert result.transcript.log_probs is not None
        shown.append(weakref.ref(result.transcript.log_probs))
        listener.hear(result)
        most = max(most, sum(one() is not None for one in shown))

    recognise(listener, recorded(tmp_path, *["b"] * 40), hear=hear, quiet=True)
    assert len(shown) == 40
    assert most <= 10


def test_threads_do_not_take_each_others_notes(tmp_path: Path) -> None:
    items = recorded(tmp_path, *["b"] * 24)
    samples = [load_audio(item.audio) for item in items]
    listener = Listener(recognizer(), num_utterances=24)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: listener.transcribe_batch([one])[0], samples * 4))
    for one, heard in zip(samples * 4, found, strict=True):
        assert isinstance(heard, NotedTranscript)
        (log_probs,) = recognizer().log_probs([recognizer().extract(one)])
        assert heard.log_probs is not None
        assert heard.log_probs.shape == log_probs.shape
        assert heard.snr_db == estimate_snr_db(one, sample_rate=SAMPLE_RATE)


def test_a_listener_says_of_itself_what_its_recognizer_does() -> None:
    listener = Listener(recognizer(), num_utterances=1)
    assert getattr(listener, "vocabulary", None) == LETTERS
    assert getattr(listener, "no_such_thing", None) is None
    assert getattr(copy.copy(listener), "text", None) == recognizer().text


class Deaf:
    """A recognizer that shows no log-probabilities."""

    text = TextOptions()

    def transcribe_batch(self, recordings: Sequence[Floats]) -> list[Transcript]:
        return [
            Transcript(text="a", words=(), duration_s=0.3, language="en", log_probability=-1.0)
            for _ in recordings
        ]

    def transcribe_blocks(self, blocks: Iterable[Floats]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]


def test_a_long_recording_is_known_by_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = recorded(tmp_path, "a", "b")
    whole, streamed = (Listener(Deaf(), num_utterances=2) for _ in range(2))
    recognise(whole, items, hear=whole.hear, quiet=True)
    monkeypatch.setattr("asr.transcriptions._STREAMED_S", 0.01)
    recognise(streamed, items, hear=streamed.hear, quiet=True)
    assert streamed.digests == whole.digests
    assert streamed.snr_db == {"u000": None, "u001": None}


def test_any_recognizer_can_be_listened_to(tmp_path: Path) -> None:
    found = evaluate_recognizer(Deaf(), recorded(tmp_path, "a", "b"), quiet=True)
    assert (found.score.wer, found.suspects) == (0.5, ())
    assert found.snr_db.keys() == {"u000", "u001"}


def test_the_same_sound_under_two_names_is_found(tmp_path: Path) -> None:
    items = recorded(tmp_path, "a", "a b", "a b c", "b", "b c")
    samples = load_audio(items[0].audio)
    twin = dataclasses.replace(items[0], id="twin", audio=tmp_path / "twin.wav")
    longer = tmp_path / "longer.wav"
    write_wav(twin.audio, samples)
    write_wav(longer, np.concatenate([np.full(SAMPLE_RATE, 0.1, np.float32), samples]))
    within = dataclasses.replace(items[0], id="within", audio=longer, offset_s=1.0)
    found = evaluate_recognizer(recognizer(), [*items, twin, within], quiet=True)
    (same,) = metrics(found)["duplicate_audio"]
    assert same["ids"] == ["u000", "twin", "within"]


# Suspects


def test_references_that_do_not_fit_their_audio_are_suspects(tmp_path: Path) -> None:
    texts = [
        *["a"] * 30,
        "c b c b",  # 30: not what is heard
        " ".join(["abc"] * 30),  # 31: not to be said in the time
        "xyz",  # 32: the model cannot spell it, which is another matter
    ]
    found = evaluate_recognizer(recognizer(), recorded(tmp_path, *texts), quiet=True)
    assert [one.row.id for one in found.suspects] == ["u031", "u030"]
    impossible, wrong = found.suspects
    assert impossible.impossible
    assert not wrong.impossible
    assert wrong.heard_loss is not None
    assert wrong.loss > 2 * wrong.heard_loss
    listed = metrics(found)["suspects"]
    assert [(one["id"], one["loss"]) for one in listed] == [("u031", None), ("u030", wrong.loss)]


def test_of_few_recordings_none_stands_out(tmp_path: Path) -> None:
    found = evaluate_recognizer(recognizer(), recorded(tmp_path, "a", "c b c b"), quiet=True)
    assert found.suspects == ()


def test_losses_of_many_are_bounded_and_the_highest_have_what_was_heard(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    losses = ReferenceLosses(recognizer(), num_utterances=1_000)
    items = [
        Utterance(id=f"u{n}", audio=tmp_path, duration_s=1.0, text="ab" if n % 2 else "b")
        for n in range(1_000)
    ]
    for item in items:
        scores = rng.normal(0, 3, (4, len(LETTERS))).astype(np.float32)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        losses.hear(item, "b", log_probs.astype(np.float32))
    assert len(losses.usual) == 200
    assert losses.wrong.keys() == {item.id for item in items if item.text == "ab"}
    ranked = sorted(losses.wrong.values(), key=lambda pair: -pair[0])
    assert all(heard is not None for _, heard in ranked[:NUM_LISTED])
    assert sum(heard is not None for _, heard in ranked) < 200


def test_what_is_right_is_no_suspect() -> None:
    assert find_suspects([], {"a": (9.0, None)}, [1.0] * 30) == ()
