"""The report's page in a real browser: it is sorted, searched, listened to and photographed."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Browser

from asr.audio import SAMPLE_RATE, write_wav
from asr.manifest import Utterance
from asr.text import TextOptions
from asr.transcript import Transcript, Word
from pipelines.evaluate import evaluate
from pipelines.evidence import gather
from pipelines.report import write_report

pytestmark = pytest.mark.browser

NUM_UTTERANCES = 120


class Parrot:
    """Says what it was told, word for word, and how sure it is."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self.text = TextOptions()
        self.texts = texts

    def transcribe_batch(self, recordings: Any) -> list[Transcript]:
        return [self.transcript(self.texts[len(samples)]) for samples in recordings]

    def transcribe_blocks(self, blocks: Any) -> Transcript:
        raise NotImplementedError("clips are short")

    def transcript(self, text: str) -> Transcript:
        words = tuple(
            Word(text=word, start_s=0.2 * n, end_s=0.2 * n + 0.1, probability=0.5 + 0.04 * n)
            for n, word in enumerate(text.split())
        )
        return Transcript(text=text, words=words, duration_s=2.0, language="en", log_probability=-1)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section that a fake recognizer can fill."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    words = ["the", "cat", "sat", "on", "a", "mat", "<b>it</b>", "&", '"all"', "'em", "é"]
    utterances, heard, told = [], {}, {}
    for n in range(NUM_UTTERANCES):
        said = [str(word) for word in rng.choice(words, 4 + n % 5)]
        got = [word if rng.random() > n / 200 else "hat" for word in said]
        size = round(SAMPLE_RATE * 2.0) + n
        audio = folder / f"u{n}.wav"
        glide = np.sin(np.cumsum(np.linspace(0.02, 0.6, size))) * np.hanning(size) * 0.5
        write_wav(audio, glide.astype(np.float32))
        key = f"utt{n:03d}"
        heard[key], told[size] = " ".join(got), " ".join(got)
        utterances.append(
            Utterance(
                id=key,
                audio=audio,
                duration_s=size / SAMPLE_RATE + n / 100,
                text=" ".join(said),
                speaker=f"speaker {n % 7}",
                extra={"accent": "<i>north</i>" if n % 3 else "south"},
            )
        )
    parrot = Parrot(told)
    confidences = {
        key: [word.probability for word in parrot.transcript(text).words if word.probability]
        for key, text in heard.items()
    }
    found = evaluate(
        utterances,
        heard,
        text=TextOptions(case="keep", punctuation="keep"),
        source="<script>alert(1)<!--.jsonl",
        audio_s=3600.0,
        compute_s=60.0,
        confidences=confidences,
    )
    evidence = gather(found, recognizer=parrot, quiet=True)
    return write_report(found, folder / "report", evidence=evidence)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


ROWS = "[...document.querySelectorAll('.utterances tbody tr')]"


def shown(browser: Browser, key: str) -> list[str]:
    """What the rows that can be seen hold, from the top."""
    found = browser.run(f"{ROWS}.filter(r => r.offsetHeight).map(r => r.dataset.{key})")
    assert isinstance(found, list)
    return found


def test_the_page_asks_the_network_for_nothing_and_has_no_complaints(
    browser: Browser, report: Path
) -> None:
    browser.requests.clear()
    browser.open(report)
    browser.run("new Promise(done => setTimeout(done, 300))")
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert [url for url in browser.requests if url.startswith("file")] == [report.as_uri()]
    assert browser.complaints == []


def test_nothing_from_outside_becomes_an_element(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert (
        browser.run("document.querySelectorAll('.words b, .words i, th i i, h1 script').length")
        == 0
    )
    assert "<script>alert(1)<!--" in browser.run("document.querySelector('h1').textContent")
    assert browser.run("document.scripts.length") == 1


def test_a_script_that_is_not_the_pages_own_does_not_run(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        "document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\">');"
        "return new Promise(done => setTimeout(done, 200)); })()"
    )
    assert browser.run("typeof window.owned") == "undefined"
    browser.complaints.clear()


def test_columns_sort_by_mouse_and_by_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report)
    rates = [float(rate) for rate in shown(browser, "wer")]
    assert len(rates) == 50
    assert rates == sorted(rates, reverse=True)
    browser.click(".utterances [data-key=wer] button")
    browser.click(".utterances [data-key=wer] button")
    assert float(shown(browser, "wer")[0]) == 0
    assert (
        browser.run("document.querySelector('.utterances [data-key=wer]').ariaSort") == "ascending"
    )
    browser.run("document.querySelector('.utterances [data-key=id] button').focus()")
    browser.press("Enter")
    assert shown(browser, "id")[:2] == ["utt000", "utt001"]
    browser.press("Enter")
    assert shown(browser, "id")[0] == f"utt{NUM_UTTERANCES - 1:03d}"


def test_rows_come_as_they_are_asked_for(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.click(".utterances + .more button")
    assert len(shown(browser, "id")) == 100
    # Of twenty more there are no fifty.
    assert browser.run("document.querySelector('.utterances + .more button').offsetHeight") == 0
    browser.click(".utterances + .more button + button")
    assert len(shown(browser, "id")) == NUM_UTTERANCES
    assert browser.run("document.querySelector('.utterances + .more').offsetHeight") == 0


def test_the_list_is_searched(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.type(".tools [type=search]", "Speaker 3")
    seen = shown(browser, "id")
    assert seen
    assert {int(key[3:]) % 7 for key in seen} == {3}
    assert "match" in browser.run("document.querySelector('.tools output').textContent")
    browser.open(report)
    browser.type(".tools [type=search]", "UTT117")
    assert shown(browser, "id") == ["utt117"]
    browser.open(report)
    # What was said is found as it was said, however it was recognised.
    said = browser.run(
        f"(() => {{ const r = {ROWS}[0].querySelector('.words').cloneNode(true);"
        "r.querySelectorAll('ins').forEach(e => e.remove());"
        "return r.textContent.trim().split(/\\s+/).slice(0, 4).join(' '); })()"
    )
    first = shown(browser, "id")[0]
    browser.type(".tools [type=search]", said)
    assert first in shown(browser, "id")
    browser.open(report)
    browser.click(".tools [type=checkbox]")
    browser.run("document.querySelector('.utterances + .more button + button').click()")
    assert "0" not in shown(browser, "errors")
    assert 0 < len(shown(browser, "errors")) < NUM_UTTERANCES


def test_the_order_is_chosen_from_a_list_too(browser: Browser, report: Path) -> None:
    browser.open(report, width=390, height=844)
    browser.run(
        "(() => { const s = document.querySelector('.tools select'); s.value = 'duration up';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert shown(browser, "id")[0] == "utt000"


def test_recordings_play(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.run("document.querySelectorAll('audio').length") == 9
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    browser.click(".example .sound")
    browser.wait_for("!document.querySelector('audio').paused")
    # A click in the middle plays from the middle.
    browser.wait_for("document.querySelector('audio').currentTime > 1.05")
    assert browser.run("document.querySelector('audio').error") is None
    assert browser.run("document.querySelector('.playhead').offsetLeft") > 0
    browser.click(".example:nth-of-type(2) .word")
    browser.wait_for("document.querySelectorAll('audio')[1].currentTime > 0.05")
    assert browser.run("document.querySelector('audio').paused")


def test_nothing_runs_over_the_edge_of_a_phone(browser: Browser, report: Path) -> None:
    for width in (320, 390):
        browser.open(report, width=width, height=844)
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_it_reads_without_scripts(browser: Browser, report: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(report)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(shown(browser, "id")) == NUM_UTTERANCES
    assert browser.run("document.querySelector('.tools').offsetHeight") == 0


def test_it_is_photographed_and_printed(browser: Browser, report: Path, tmp_path: Path) -> None:
    seen = set()
    for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("phone", 390, False)):
        browser.open(report, width=width, dark=dark)
        content = browser.screenshot()
        (tmp_path / f"{name}.png").write_bytes(content)
        assert struct.unpack(">II", content[16:24]) == (width, 900)
        seen.add(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2
    browser.open(report, dark=True)
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
