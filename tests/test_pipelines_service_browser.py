"""The service's page in a real browser: files are dropped, the microphone is used."""

import http.client
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from chromium import Browser

from asr.audio import SAMPLE_RATE, write_wav
from asr.text import TextOptions
from asr.transcript import Transcript, Word
from pipelines.service.app import Service
from pipelines.service.options import ServiceOptions
from pipelines.service.server import DrainingServer, listen_on

pytestmark = pytest.mark.browser

Samples = npt.NDArray[np.float32]
WAIT_S = 60.0
SAID = ("the", "<b>cat</b>", "sat", "&amp;", "purred")
TOKEN = "a token of some length"


class Parrot:
    """Says the same of every recording, and is not sure of the cat."""

    text = TextOptions()

    def __init__(self) -> None:
        self.heard: list[Samples] = []

    def transcribe_batch(self, recordings: Sequence[Samples]) -> list[Transcript]:
        self.heard += recordings
        return [self.transcript(len(samples) / SAMPLE_RATE) for samples in recordings]

    def transcribe_blocks(self, blocks: Iterable[Samples]) -> Transcript:
        return self.transcribe_batch([np.concatenate(list(blocks))])[0]

    def transcript(self, duration_s: float) -> Transcript:
        step_s = duration_s / len(SAID)
        words = tuple(
            Word(
                text=text,
                start_s=n * step_s,
                end_s=(n + 1) * step_s,
                probability=0.3 if "cat" in text else 0.97,
            )
            for n, text in enumerate(SAID)
        )
        return Transcript(
            text=" ".join(SAID),
            words=words,
            duration_s=duration_s,
            language="en",
            log_probability=-1.0,
        )


class Running(DrainingServer):
    """A server on a thread and a free port."""

    def __init__(self, parrot: Parrot, token: str | None = None) -> None:
        service = Service(parrot, name="parrot", options=ServiceOptions(token=token))
        super().__init__(service, listen_on("127.0.0.1", 0), max_drain_s=1.0, quiet=True)
        self.parrot, self.ready = parrot, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def __enter__(self) -> "Running":
        self.thread.start()
        assert self.ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(WAIT_S)

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone beeps, and which lends it without asking."""
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    opened = Browser(tmp_path_factory.mktemp("profile"), *flags)
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Running(Parrot()) as running:
        yield running


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file whose name is no good as HTML."""
    glide = np.sin(np.cumsum(np.linspace(0.02, 0.6, 2 * SAMPLE_RATE))) * 0.4
    path = tmp_path / "<img src=x onerror=alert(1)>.wav"
    write_wav(path, glide)
    return path


def choose(browser: Browser, *files: Path) -> None:
    """Gives files to the page's chooser, as a person does."""
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({selector!r}).textContent"))


DONE = "document.querySelector('article:not(.busy)') !== null"
CLICKED_WORD = "document.querySelector('audio').currentTime"


def test_a_file_is_transcribed_and_nothing_of_it_becomes_an_element(
    browser: Browser, server: Running, recording: Path
) -> None:
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(server.address)
    browser.wait_for("document.getElementById('model').textContent.includes('parrot')")
    choose(browser, recording)
    browser.wait_for(DONE)
    assert text(browser, "article .text").split() == list(SAID)
    assert text(browser, "article h2") == recording.name
    assert text(browser, "article span").startswith("0:02 heard in ")
    assert (
        browser.run("document.querySelectorAll('article b, article img, main script').length") == 0
    )
    assert browser.run("[...document.querySelectorAll('.doubtful')].map(e => e.textContent)") == [
        "<b>cat</b>"
    ]
    own = {url for url in browser.requests if not url.startswith(("data:", "blob:"))}
    assert own
    assert all(url.startswith(server.address) for url in own)
    assert browser.complaints == []


def test_a_word_leads_to_its_place_in_the_recording(
    browser: Browser, server: Running, recording: Path
) -> None:
    browser.open(server.address)
    choose(browser, recording)
    browser.wait_for(f"{DONE} && document.querySelector('audio').readyState > 0")
    browser.click(".word:nth-of-type(4)")
    browser.wait_for(f"{CLICKED_WORD} >= 1.2")
    assert browser.complaints == []


def test_a_dropped_file_is_taken(browser: Browser, server: Running, recording: Path) -> None:
    browser.open(server.address)
    data = {"items": [], "files": [str(recording)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=640, y=200, data=data)
    browser.wait_for(DONE)
    assert text(browser, "article .text").split() == list(SAID)
    assert [len(samples) for samples in server.parrot.heard] == [2 * SAMPLE_RATE]


def test_the_microphone_is_recorded_and_heard(browser: Browser, server: Running) -> None:
    browser.open(server.address)
    browser.click("#record")
    browser.wait_for("document.getElementById('state').textContent.startsWith('recording 0:02')")
    assert text(browser, "#record") == "Stop"
    browser.click("#record")
    browser.wait_for(DONE)
    assert text(browser, "article h2").startswith("Recording of ")
    assert text(browser, "article .text").split() == list(SAID)
    (samples,) = server.parrot.heard
    assert len(samples) > SAMPLE_RATE
    assert np.abs(samples).max() > 0.01  # the fake microphone beeps
    assert text(browser, "#record") == "Record"
    assert browser.complaints == []


def test_what_is_refused_is_said(browser: Browser, server: Running, tmp_path: Path) -> None:
    broken = tmp_path / "notes.txt"
    broken.write_text("no sound")
    browser.open(server.address)
    choose(browser, broken)
    browser.wait_for("document.querySelector('.failed') !== null")
    assert "cannot be read as sound" in text(browser, "article .text")
    assert str(tmp_path) not in text(browser, "article")


def test_a_token_is_asked_for_once(browser: Browser, recording: Path) -> None:
    with Running(Parrot(), token=TOKEN) as server:
        browser.open(server.address)
        browser.wait_for("!document.getElementById('key').hidden")
        choose(browser, recording)
        browser.wait_for("document.querySelector('.waiting') !== null")
        assert server.parrot.heard == []
        browser.type("#token", TOKEN)
        browser.press("Enter")
        browser.wait_for("document.querySelector('.word') !== null")
        assert browser.run("document.getElementById('key').hidden")
        assert browser.run("document.querySelectorAll('article').length") == 1
        choose(browser, recording)
        browser.wait_for("document.querySelectorAll('audio').length == 2")
        assert (
            browser.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        )


def test_the_policy_lets_nothing_else_run(browser: Browser, server: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    connection.request("GET", "/")
    answer = connection.getresponse()
    policy = str(answer.headers["Content-Security-Policy"])
    page = answer.read().decode()
    connection.close()
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"\bon\w+=|style=|innerHTML|https?://", page)
    browser.complaints.clear()
    browser.open(server.address)
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.intruder = 1'}))"
    )
    browser.run("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert browser.run("window.intruder === undefined")
    assert len([one for one in browser.complaints if "Content Security Policy" in one]) >= 1
    browser.complaints.clear()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits(
    browser: Browser, server: Running, recording: Path, width: int, dark: bool
) -> None:
    browser.open(server.address, width=width, dark=dark)
    choose(browser, recording)
    browser.wait_for(DONE)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert len(browser.screenshot()) > 10_000
