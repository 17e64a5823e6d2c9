"""What has been made of which recordings, by which model: kept in a journal, for runs that go on.

A recording's output is known by the recording's name and its format. It is done with if it was made
with the same settings of the same bytes, and what it says of itself, such as an id, is the same.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.manifest import to_json_line
from pipelines.fetching import digests
from pipelines.hearing import Heard
from pipelines.inputs import Recording
from pipelines.journal import Journal
from pipelines.remote import Seen
from pipelines.remote_journal import RemoteJournal
from pipelines.remote_staging import RemoteStaging
from pipelines.staging import Staging
from pipelines.stamps import Stamp

NAMING = frozenset({"ctm", "trn", "jsonl"})
"""Formats that say which recording they are of."""

Key = tuple[str, str]
"""A recording's name, and a format."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An output that was made.

    Attributes:
        settings: Digest of the model and all that was chosen.
        source: What of the recording it was made of, beside its bytes.
        audio: Which bytes these were.
        file: Which file was made; None if it was a line of the journal.
        text: What was heard; None if nobody will compare it.
        is_certain: The machine has not been started anew since, so that the file is what it looks
            like: nobody waited until the disk had it.
    """

    settings: str
    source: str
    audio: Stamp
    file: Stamp | None
    text: str | None
    is_certain: bool


class Ledger:
    """All outputs that a journal tells of.

    Args:
        journal: The journal.
        settings: Digest of the model and all that is chosen now.

    Raises:
        OSError: The journal cannot be read.
        UsageError: It is of another version.
    """

    def __init__(self, journal: Journal | RemoteJournal, settings: str) -> None:
        self._journal = journal
        self._settings = settings
        self.entries: dict[Key, Entry] = {}
        """Outputs of earlier runs; those of this one are not asked for again."""
        self.failures: dict[str, str] = {}
        """Why recordings have no output, by name."""
        self.files: dict[str, list[Stamp]] = {}
        """What files about all recordings have been, by name; the last is what they are."""
        self.waiting: dict[str, Mapping[str, Any]] = {}
        """What earlier runs told of outputs that may not be in their places, by file name."""
        self._digests: dict[str, str] = {}
        self._places: dict[Key, int] = {}
        self._boot: str | None = None
        now = boot()
        for place, record in self._journal.records():
            self._take(record, place)
            self.entries.update(_entries(record, is_certain=self._boot == now))
            self._await(record)

    def begin(self) -> None:
        """Makes the journal ready to be written to."""
        self._journal.begin()
        if self._boot != boot():
            self._note({"boot": boot()})

    def is_done(self, recording: Recording, form: str) -> bool:
        """Whether an output was made of what is there now; it may have gone since."""
        entry = self.entries.get((recording.name, form))
        return (
            entry is not None
            and entry.settings == self._settings
            and entry.source == source_of(recording, form)
            and self._is_same(entry.audio, recording)
        )

    def look_at(self, recordings: Sequence[Recording], forms: Sequence[str]) -> None:
        """Reads what `is_done` will ask for: objects that may be the same under another look."""
        unsure = [
            one.utterance.address
            for one in recordings
            if one.utterance.address is not None
            and any(
                entry is not None and _is_unsure(entry.audio, one.seen)
                for entry in (self.entries.get((one.name, form)) for form in forms)
            )
        ]
        self._digests = digests(dict.fromkeys(unsure)) if unsure else {}

    def _is_same(self, stamp: Stamp, recording: Recording) -> bool:
        address, seen = recording.utterance.address, recording.seen
        if address is None:
            return stamp.fits(recording.utterance.audio)
        if seen is None:
            return False
        return seen.is_of(stamp) or self._digests.get(address) == stamp.sha256

    def add(
        self,
        chunk: Sequence[tuple[Recording, Heard]],
        outputs: Sequence[Mapping[str, Mapping[str, object]]],
    ) -> None:
        """Notes what became of some recordings, all of them at once or none.

        Args:
            chunk: The recordings.
            outputs: What was made of each, by format: `file`, its stamp, or `line`.
        """
        told = [_told(*pair, made) for pair, made in zip(chunk, outputs, strict=True)]
        # The same failure as the last time is no news: a journal is not to grow by it.
        news = [item for item in told if self.failures.get(item["name"]) != item.get("failure", "")]
        if news:
            self._note({"settings": self._settings, "recordings": told})

    def forgive(self, recording: Recording) -> None:
        """Forgets a failure of what is done."""
        self.failures.pop(recording.name, None)

    def is_mine(self, name: str, staging: Staging | RemoteStaging) -> bool:
        """Whether what is there by a name is a file about all recordings, as it has ever been."""
        return any(staging.holds(name, stamp) for stamp in self.files.get(name, ()))

    def replace_file(
        self, name: str, content: Iterable[bytes], staging: Staging | RemoteStaging
    ) -> None:
        """Puts a file into its place, unless it lies there as it would be.

        Args:
            name: What it is called where `staging` puts it.
            content: Its bytes.
            staging: Where it waits until it is told of.

        Raises:
            OSError: It could not be written.
        """
        old = self.files.get(name, [None])[-1]
        stamp = staging.stage(name, content)
        if old is not None and old.sha256 == stamp.sha256 and staging.holds(name, old):
            return  # what was staged goes with the rest
        if old != stamp:
            self._note({"files": {name: stamp}})
        staging.release([name])

    def lines(self, keys: Iterable[Key]) -> Iterator[str]:
        """Yields the lines that outputs consist of."""
        last, told = -1, dict[str, Any]()
        for name, form in keys:
            place = self._places[name, form]
            if place != last:
                record = self._journal.at(place)
                last, told = place, {item["name"]: item for item in record["recordings"]}
            yield told[name]["outputs"][form]["line"]

    def told(self) -> dict[str, Sequence[Stamp]]:
        """Returns what all files have been that the journal tells of, by name, the last last."""
        told: dict[str, Sequence[Stamp]] = {
            f"{name}.{form}": (entry.file,)
            for (name, form), entry in self.entries.items()
            if entry.file is not None
        }
        return told | self.files

    def settle(self) -> None:
        """Says that all files told of are in their places.

        Raises:
            OSError: The journal could not be written.
        """
        self._journal.settle()

    def close(self) -> None:
        """Lets go of the journal."""
        self._journal.close()

    def _note(self, record: Mapping[str, Any]) -> None:
        self._take(record, self._journal.append(record))

    def _await(self, record: Mapping[str, Any]) -> None:
        """Notes which outputs have to be looked for."""
        for item in record.get("recordings", ()):
            for form, made in item.get("outputs", {}).items():
                name = f"{item['name']}.{form}"
                if "content" in made:
                    self.waiting[name] = made
                else:
                    self.waiting.pop(name, None)

    def _take(self, record: Mapping[str, Any], place: int) -> None:
        self._boot = record.get("boot", self._boot)
        for item in record.get("recordings", ()):
            name = item["name"]
            if "failure" in item:
                self.failures[name] = item["failure"]
                continue
            self.failures.pop(name, None)
            for form, made in item["outputs"].items():
                if "line" in made:
                    self._places[name, form] = place
        for name, stamp in record.get("files", {}).items():
            self.files.setdefault(name, []).append(Stamp(*stamp))


def boot() -> str | None:
    """Returns a name for the time since the machine was started; None where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _is_unsure(stamp: Stamp, seen: Seen | None) -> bool:
    """Whether only the bytes of an object can tell whether it is what it was."""
    return seen is not None and seen.size in (None, stamp.size) and not seen.is_of(stamp)


def _entries(record: Mapping[str, Any], *, is_certain: bool) -> Iterator[tuple[Key, Entry]]:
    for item in record.get("recordings", ()):
        for form, made in item.get("outputs", {}).items():
            entry = Entry(
                settings=record["settings"],
                source=made["source"],
                audio=Stamp(*item["audio"]),
                file=Stamp(*made["file"]) if "file" in made else None,
                text=item.get("text"),
                is_certain=is_certain,
            )
            yield (item["name"], form), entry


def source_of(recording: Recording, form: str) -> str:
    """Returns what an output is made of beside the bytes of the recording."""
    utterance = recording.utterance
    if form in NAMING:
        return hashlib.sha256(to_json_line(utterance).encode()).hexdigest()[:16]
    return f"{utterance.offset_s}+{utterance.duration_s} {utterance.channel}"


def _told(
    recording: Recording, heard: Heard, made: Mapping[str, Mapping[str, object]]
) -> dict[str, Any]:
    if heard.failure:
        return {"name": recording.name, "failure": heard.failure}
    told: dict[str, Any] = {"name": recording.name, "audio": heard.audio}
    if recording.utterance.text is not None:
        told["text"] = heard.text
    told["outputs"] = {
        form: {"source": source_of(recording, form), **output} for form, output in made.items()
    }
    return told
