"""`asr serve`: what the command refuses, what it starts, and how a process of it ends."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from asr.bundle import write_settings
from asr.errors import BundleError
from asr.features import FeatureOptions
from asr.onnx_network import ONNX_FILES, RECORD_FILE
from asr.options import to_table
from asr.vocabulary import Vocabulary
from pipelines import cli, network, serve
from pipelines.service.access import is_loopback, read_token
from pipelines.service.server import address_of, listen_on
from pipelines.usage import UsageError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle without a network."""
    features, vocabulary = FeatureOptions(n_mfcc=5), Vocabulary.from_characters(" ab")
    recipe = {"features": to_table(features), "text": {"language": "en"}}
    write_settings(tmp_path / "tiny", recipe=recipe, vocabulary=vocabulary, card="")
    return tmp_path / "tiny"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """What the command would have started, had it been let; and the command's model."""
    seen: dict[str, Any] = {"model": folder}

    class Recognizer:
        from asr.text import TextOptions

        text = TextOptions()

    class Server:
        def __init__(self, service: Any, listener: Any, **more: Any) -> None:
            seen.update(more, service=service, address=address_of(listener))

        def run(self) -> None:
            seen["ran"] = True

    monkeypatch.setattr(network, "load_recognizer", lambda *_, **__: Recognizer())
    monkeypatch.setattr("pipelines.service.server.DrainingServer", Server)
    monkeypatch.delenv("ASR_SERVE_TOKEN", raising=False)
    return seen


def run(started: Mapping[str, Any], *words: str) -> int:
    port = [] if "--port" in words else ["--port", "0"]
    return cli.main(["serve", "--model", str(started["model"]), *port, *words])


def options_of(started: Mapping[str, Any]) -> Any:
    return started["service"]._options


def test_it_listens_on_this_machine_alone(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(started) == 0
    assert started["ran"]
    assert started["address"].startswith("http://127.0.0.1:")
    options = options_of(started)
    assert options.hosts == ("localhost", "127.0.0.1", "[::1]")
    assert options.token is None
    assert options.max_request_bytes == 25_000_000
    assert options.max_audio_s == 3600
    assert started["service"]._models == ("tiny", "whisper-1")
    assert capsys.readouterr().err == f"asr: listening on {started['address']}\n"


def test_a_port_that_is_taken_is_said_before_the_model_is_opened(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "load_recognizer", None)
    with closing(listen_on("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(started, "--port", port) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"asr: cannot listen on port {port} of 127.0.0.1: ")
    assert run(started, "--host", "203.0.113.1") == 1
    assert "cannot listen on port 0 of 203.0.113.1: " in capsys.readouterr().err


def test_on_a_network_it_says_that_anyone_may_ask(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(started, "--host", "0.0.0.0", "--alias", "a", "--alias", "b") == 0
    assert options_of(started).hosts == ()
    assert started["service"]._models == ("tiny", "a", "b")
    assert "anyone who reaches it may ask" in capsys.readouterr().err
    (tmp_path / "token").write_text("correct horse\n")
    assert run(started, "--host", "0.0.0.0", "--token-file", str(tmp_path / "token")) == 0
    assert options_of(started).token == "correct horse"
    assert "anyone" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "65536"], "from 0 to 65535"),
        (["--threads", "0"], "from 1 on"),
        (["--max-mb", "nan"], "--max-mb: expected a number above 0"),
        (["--max-mb", "inf"], "--max-mb: expected a number above 0"),
        (["--max-mb", "0"], "max_request_bytes from 1 on"),
        (["--max-minutes", "-1"], "max_audio_s above 0"),
        (["--max-minutes", "nan"], "max_audio_s above 0"),
        (["--max-requests", "0"], "max_requests from 1 on"),
        (["--max-batch", "0"], "max_batch from 1 on"),
        (["--token-file", "nowhere"], "nowhere: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(started, *words) == 2
    assert said in capsys.readouterr().err
    assert "ran" not in started


def test_a_token_is_a_line_of_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASR_SERVE_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("ASR_SERVE_TOKEN", "from outside")
    assert read_token(None) == "from outside"
    path = tmp_path / "token"
    path.write_bytes(b"  from a file\r\n")
    assert read_token(path) == "from a file"
    for wrong in (b"", b"\n", "né".encode(), b"two\nlines", b"\xff"):
        path.write_bytes(wrong)
        with pytest.raises(UsageError, match=f"^--token-file {path}: "):
            read_token(path)
    for value in ("né", "two\nlines"):
        monkeypatch.setenv("ASR_SERVE_TOKEN", value)
        with pytest.raises(UsageError, match=r"^ASR_SERVE_TOKEN: expected a line of ASCII$"):
            read_token(None)


def test_a_short_token_is_none(started: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    assert run(started, "--token-file", str(tmp_path / "token")) == 2


def test_loopback_is_told_from_the_network() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.2", "example.org", "")))


def test_a_missing_extra_is_named(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    assert run(started) == 1
    assert "pip install 'bilstm-asr[serve]'" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_a_line(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BundleError("no model 'x'")

    monkeypatch.setattr(network, "load_recognizer", fail)
    assert run(started) == 1
    assert capsys.readouterr().err == "asr: no model 'x'\n"
    assert serve.EXTRA == "serve"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that ONNX Runtime computes."""
    import onnx

    from models.bilstm import BiLSTMOptions, build_bilstm
    from models.onnx_graph import build_onnx

    folder = tmp_path_factory.mktemp("models") / "tiny"
    features, vocabulary = FeatureOptions(n_mfcc=5, stack=2), Vocabulary.from_characters(" ab")
    recipe = {"features": to_table(features), "text": {"language": "en"}}
    write_settings(folder, recipe=recipe, vocabulary=vocabulary, card="")
    options = BiLSTMOptions(units=8, num_layers=1)
    shape = {"num_features": features.num_features, "vocab_size": len(vocabulary)}
    onnx.save(build_onnx(build_bilstm(options, **shape)), folder / ONNX_FILES["float32"])
    record = {"network_sha256": "none", "precision": "float32"}
    (folder / RECORD_FILE).write_text(json.dumps(record))
    return folder


def test_a_process_answers_and_ends_when_it_is_told_to(exported: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--model", str(exported)]
    process = subprocess.Popen(
        [*command, "--port", "0"], cwd=ROOT, stderr=subprocess.PIPE, env=os.environ, text=True
    )
    try:
        assert process.stderr is not None
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "it ended by itself"
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        noise = np.random.default_rng(0).integers(-9000, 9000, SAMPLE_RATE, np.int16).tobytes()
        head = np.array([16, 0x10001, SAMPLE_RATE, 2 * SAMPLE_RATE, 0x100002], "<u4").tobytes()
        wav = b"RIFF" + (36 + len(noise)).to_bytes(4, "little") + b"WAVEfmt " + head + b"data"
        wav += len(noise).to_bytes(4, "little") + noise
        body = b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        body += b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=edge"}
        connection.request(
            "POST", "/v1/audio/transcriptions", body + wav + b"\r\n--edge--\r\n", kind
        )
        answer = connection.getresponse()
        record = json.loads(answer.read())
        connection.close()
        assert answer.status == 200, record
        assert record["usage"] == {"type": "duration", "seconds": 1}
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
