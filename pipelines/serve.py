"""`asr serve`: transcription over HTTP, as OpenAI's clients ask for it, and a page to try it."""

import argparse
import math
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import MissingExtraError, OptionsError
from pipelines.choices import add_choices, choices_of
from pipelines.default_model import DEFAULT_MODEL, open_model
from pipelines.usage import UsageError

if TYPE_CHECKING:
    from pipelines.service.options import ServiceOptions

DESCRIPTION = """\
Answers requests for transcripts over HTTP until it is told to end (Ctrl-C, or
SIGTERM): then it finishes what is in hand, and tells new requests to ask again.

  POST /v1/audio/transcriptions   as OpenAI's: file, model, language, also
                                  response_format (json, text, srt,
                                  verbose_json, vtt) and
                                  timestamp_granularities[] (segment, word);
                                  prompt and temperature are ignored
  GET  /v1/models                 the names that the model goes by
  GET  /healthz                   200, or 503 once it is about to end
  GET  /metrics                   for Prometheus
  GET  /                          a page to drop recordings on, or to record

It listens on this machine alone unless told otherwise. On a network, give it a
token (--token-file, or the variable ASR_SERVE_TOKEN), and put what speaks TLS
in front of it: over plain HTTP, recordings and token can be read on the way.
"""

EXAMPLES = """\
examples:
  asr serve --model runs/mine                    http://127.0.0.1:8000
  asr serve --model runs/mine --host 0.0.0.0 --token-file token.txt
  curl -F file=@talk.wav -F model=whisper-1 \\
    http://127.0.0.1:8000/v1/audio/transcriptions
"""

EXTRA = "serve"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command line of `asr serve`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--model", help=f"default: {DEFAULT_MODEL}; a model's name, its folder, or a run's"
    )
    parser.add_argument(
        "--engine", choices=("auto", "onnx", "keras"), default="auto", help="as of asr transcribe"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="processor cores for ONNX Runtime (default: all)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing of each request")
    _add_network(parser)
    _add_limits(parser)
    add_choices(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may ask")
    group.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    group.add_argument("--port", type=int, default=8000, help="default: 8000; 0 for any free one")
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a token that clients have to show (default: the variable ASR_SERVE_TOKEN, if set)",
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the service may be called, beside localhost; may be repeated "
        "(default: with --host, any)",
    )
    group.add_argument(
        "--alias",
        action="append",
        metavar="NAME",
        help="a further name for the model; may be repeated (default: whisper-1, which most "
        "clients ask for)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument(
        "--max-mb", type=float, default=25.0, metavar="X", help="of a request (default: 25)"
    )
    group.add_argument(
        "--max-minutes", type=float, default=60.0, metavar="X", help="of a recording (default: 60)"
    )
    group.add_argument(
        "--max-requests",
        type=int,
        default=64,
        metavar="N",
        help="in hand at a time; to further ones it says 503, and when to ask again (default: 64)",
    )
    group.add_argument(
        "--max-batch", type=int, default=16, metavar="N", help="recognised together (default: 16)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs `asr serve`.

    Returns:
        0 once it was told to end and has.

    Raises:
        UsageError: The arguments contradict each other or what is there.
        MissingExtraError: The extra `serve` is not installed.
        AsrError: The model cannot be read, or the port is not to be had.
    """
    if arguments.threads is not None and arguments.threads < 1:
        raise UsageError(f"--threads: expected a number from 1 on, received {arguments.threads}")
    if not math.isfinite(arguments.max_mb):
        raise UsageError(f"--max-mb: expected a number above 0, received {arguments.max_mb}")
    if not 0 <= arguments.port <= 65_535:
        raise UsageError(f"--port: expected a number from 0 to 65535, received {arguments.port}")
    choices = choices_of(arguments)
    try:
        import python_multipart  # noqa: F401  Starlette asks for it at the first form

        from pipelines.service.access import is_loopback, read_token
        from pipelines.service.app import Service
        from pipelines.service.server import DrainingServer, address_of, listen_on
    except ImportError as error:
        raise MissingExtraError(
            f"asr serve needs {error.name}, which is not installed: "
            f"pip install 'bilstm-asr[{EXTRA}]'"
        ) from None
    token = read_token(arguments.token_file)
    is_local = is_loopback(arguments.host)
    options = _options(arguments, token=token, is_local=is_local)
    from pipelines.network import load_recognizer

    with closing(listen_on(arguments.host, arguments.port)) as listener:
        bundle = open_model(arguments.model)
        recognizer = load_recognizer(
            bundle.folder, engine=arguments.engine, threads=arguments.threads, choices=choices
        )
        service = Service(recognizer, name=bundle.name, options=options)
        if not is_local and token is None:
            print("asr: anyone who reaches it may ask; --token-file limits that", file=sys.stderr)
        print(f"asr: listening on {address_of(listener)}", file=sys.stderr, flush=True)
        DrainingServer(
            service, listener, max_drain_s=options.max_drain_s, quiet=arguments.quiet
        ).run()
    return 0


def _options(
    arguments: argparse.Namespace, *, token: str | None, is_local: bool
) -> "ServiceOptions":
    from pipelines.service.options import MEGABYTE, ServiceOptions

    hosts = (*LOOPBACK_NAMES, *arguments.allow_host) if is_local else tuple(arguments.allow_host)
    try:
        return ServiceOptions(
            max_request_bytes=round(arguments.max_mb * MEGABYTE),
            max_audio_s=60 * arguments.max_minutes,
            max_requests=arguments.max_requests,
            max_batch=arguments.max_batch,
            token=token,
            hosts=hosts,
            models=ServiceOptions().models if arguments.alias is None else tuple(arguments.alias),
        )
    except OptionsError as error:
        raise UsageError(str(error)) from None
