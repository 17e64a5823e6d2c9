"""Downloads against a server on this machine that breaks off, forgets and lies."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr.errors import OptionsError
from pipelines.prepare import download as download_module
from pipelines.prepare.corpora import CORPORA
from pipelines.prepare.corpus import Archive, Corpus
from pipelines.prepare.download import DownloadError, fetch
from pipelines.prepare.program import download
from pipelines.prepare.unpack import unpack

CONTENT = bytes(range(256)) * 1000
OTHER = CONTENT[::-1]


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; how badly is set by its attributes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"first"'
        self.cut_after: list[int] = []  # bytes of the body of the first, second, ... answer
        self.statuses: list[int] = []  # errors to answer the first requests with
        self.knows_ranges = True
        self.says_length = True
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/corpus.tar.gz"

    def archive(self, content: bytes | None = None, *, name: str = "corpus.tar.gz") -> Archive:
        digest = hashlib.sha256(content).hexdigest() if content is not None else None
        return Archive(url=self.url, name=name, sha256=digest)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        body, start = server.content, self._start()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        body = body[start:]
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after:
            body = body[: server.cut_after.pop(0)]
        self.wfile.write(body)

    def _start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not match or not self.server.knows_ranges or condition not in (None, self.server.etag):
            return 0
        return int(match[1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        # Looked at every 10 ms, or each test would wait half a second for the end.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(archive: Archive, folder: Path, *, attempts: int = 3) -> Path:
    return fetch(archive, folder, attempts=attempts, wait_s=0.0, quiet=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_file_arrives_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    path = get(server.archive(CONTENT), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["corpus.tar.gz"]


def test_cut_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 50_000]
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert [request.get("If-Range") for request in server.requests] == [None, '"first"', '"first"']


def test_second_run_goes_on_from_the_first(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError, match=r"ended at 100000 of 256000 bytes.*goes on from there"):
        get(server.archive(CONTENT), tmp_path, attempts=1)
    assert names(tmp_path) == ["corpus.tar.gz.part", "corpus.tar.gz.part.json"]
    server.requests.clear()
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert [request["Range"] for request in server.requests] == ["bytes=100000-"]


def test_complete_part_needs_no_request(server: Server, tmp_path: Path) -> None:
    """Killed between the last byte and the renaming."""
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError):
        get(server.archive(CONTENT), tmp_path, attempts=1)
    (tmp_path / "corpus.tar.gz.part").write_bytes(CONTENT)
    server.requests.clear()
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert server.requests == []


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    server.cut_after = [100_000]
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_server_that_always_breaks_at_the_same_place_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    server.knows_ranges = False
    server.cut_after = [100_000] * 50
    with pytest.raises(DownloadError, match="gave up after 3 tries"):
        get(server.archive(CONTENT), tmp_path)
    assert len(server.requests) == 4  # one with something new, three without


def test_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError):
        get(server.archive(OTHER), tmp_path, attempts=1)
    server.content, server.etag = OTHER, '"second"'
    assert get(server.archive(OTHER), tmp_path).read_bytes() == OTHER


def test_halves_of_two_files_are_noticed_without_etag(server: Server, tmp_path: Path) -> None:
    """No ETag, the same length: the digest alone can tell, and the whole is fetched again."""
    server.etag = None
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError):
        get(server.archive(OTHER), tmp_path, attempts=1)
    server.content = OTHER
    assert get(server.archive(OTHER), tmp_path).read_bytes() == OTHER
    assert "If-Range" not in server.requests[-2]


@pytest.mark.parametrize("content", [OTHER + b"longer", OTHER[:200_000]])
def test_other_length_is_noticed_without_etag(
    content: bytes, server: Server, tmp_path: Path
) -> None:
    server.etag = None
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError):
        get(server.archive(), tmp_path, attempts=1)
    server.content = content
    server.requests.clear()
    assert get(server.archive(), tmp_path).read_bytes() == content
    assert [request.get("Range") for request in server.requests] == ["bytes=100000-", None]


def test_weak_etag_is_no_condition(server: Server, tmp_path: Path) -> None:
    server.etag = 'W/"first"'
    server.cut_after = [100_000]
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert "If-Range" not in server.requests[1]


def test_shorter_file_than_what_arrived_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = [100_000, 0]
    with pytest.raises(DownloadError):
        get(server.archive(), tmp_path, attempts=1)
    server.content, server.statuses = b"short", [416]
    assert get(server.archive(), tmp_path).read_bytes() == b"short"


def test_part_of_another_address_is_not_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz.part").write_bytes(b"something")
    (tmp_path / "corpus.tar.gz.part.json").write_text('{"url": "http://elsewhere/"}')
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT
    assert "Range" not in server.requests[0]


def test_wrong_digest_is_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="differs from the published one"):
        get(server.archive(OTHER), tmp_path)
    assert names(tmp_path) == []


def test_md5_is_checked_where_it_is_what_was_published(server: Server, tmp_path: Path) -> None:
    right = hashlib.md5(CONTENT).hexdigest()
    get(Archive(url=server.url, name="right", md5=right), tmp_path)
    with pytest.raises(DownloadError, match="published"):
        get(Archive(url=server.url, name="wrong", md5="0" * 32), tmp_path)
    assert names(tmp_path) == ["right"]


def test_first_digest_is_kept_and_held_to(server: Server, tmp_path: Path) -> None:
    path = get(server.archive(), tmp_path)
    record = tmp_path / "corpus.tar.gz.sha256"
    assert record.read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  corpus.tar.gz\n"
    assert get(server.archive(), tmp_path) == path
    assert len(server.requests) == 1
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match=r"differs from the recorded one.*delete it"):
        get(server.archive(), tmp_path)


def test_archive_that_lies_there_damaged_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.gz").write_bytes(b"half")
    with pytest.raises(DownloadError, match="differs from the published one"):
        get(server.archive(CONTENT), tmp_path)
    assert server.requests == []


def test_busy_server_is_asked_again_and_a_missing_file_is_not(
    server: Server, tmp_path: Path
) -> None:
    server.statuses = [503, 429]
    assert get(server.archive(CONTENT), tmp_path / "a").read_bytes() == CONTENT
    server.statuses = [404]
    with pytest.raises(DownloadError, match="404 Not Found"):
        get(server.archive(CONTENT), tmp_path / "b")
    assert len(server.requests) == 4


def test_length_need_not_be_told(server: Server, tmp_path: Path) -> None:
    server.says_length = False
    assert get(server.archive(CONTENT), tmp_path).read_bytes() == CONTENT


def test_unreachable_server_is_an_error_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/x: cannot be reached"):
        get(Archive(url="http://127.0.0.1:9/x", name="x"), tmp_path, attempts=2)


def test_only_the_web_is_read_from(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(DownloadError, match="expected an http or https address"):
        get(Archive(url=(tmp_path / "secret").as_uri(), name="x"), tmp_path)


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_archive_unpacks_whole_without_links(tmp_path: Path) -> None:
    link = tarfile.TarInfo("corpus/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("corpus/1.txt"), b"one"), (link, b""))
    folder = unpack(archive, tmp_path / "a")
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == [
        "corpus",
        "corpus/1.txt",
    ]
    assert (folder / "corpus/1.txt").read_bytes() == b"one"


def test_unpacked_folder_is_not_unpacked_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert unpack(tmp_path / "missing.tar.gz", tmp_path / "a") == tmp_path / "a"


def test_member_outside_is_refused_and_nothing_left(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar.gz",
        (tarfile.TarInfo("good.txt"), b"good"),
        (tarfile.TarInfo("../evil.txt"), b"evil"),
    )
    with pytest.raises(DownloadError, match="refused"):
        unpack(archive, tmp_path / "a")
    assert names(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"not an archive", None], ids=["empty", "text", "cut"])
def test_damaged_archive_is_an_error_and_nothing_left(
    content: bytes | None, tmp_path: Path
) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("1.bin"), CONTENT))
    archive.write_bytes(archive.read_bytes()[:300] if content is None else content)
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "a")
    assert names(tmp_path) == ["a.tar.gz"]


def test_corpus_is_fetched_and_unpacked_once(server: Server, tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("LibriSpeech/README"), b"hello"))
    server.content = archive.read_bytes()
    corpus = Corpus(
        name="tiny",
        title="",
        layout="",
        licence="",
        read=CORPORA["folder"].read,
        archives={"tiny": server.archive(server.content, name="tiny.tar.gz")},
    )
    folders = download(corpus, tmp_path / "corpora", quiet=True)
    assert (tmp_path / "corpora/tiny/LibriSpeech/README").read_bytes() == b"hello"
    (tmp_path / "corpora/tiny.tar.gz").unlink()
    assert download(corpus, tmp_path / "corpora", quiet=True) == folders
    assert len(server.requests) == 1


def test_parts_to_download_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"dev-clean \(337 MB\).*received none"):
        download(CORPORA["librispeech"], tmp_path)
    with pytest.raises(OptionsError, match="received dev-dirty"):
        download(CORPORA["librispeech"], tmp_path, ("dev-dirty",))
    with pytest.raises(OptionsError, match="common_voice has no public address"):
        download(CORPORA["common_voice"], tmp_path)


def test_digests_are_well_formed_and_waiting_is_bounded() -> None:
    archives = [archive for corpus in CORPORA.values() for archive in corpus.archives.values()]
    assert len({archive.name for archive in archives}) == len(archives) == 7 + 1 + 18 + 1 + 1 + 1
    for archive in archives:
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256 or "0" * 64)
        assert re.fullmatch("[0-9a-f]{32}", archive.md5 or "0" * 32)
    assert 0 < download_module.TIMEOUT_S <= 120
