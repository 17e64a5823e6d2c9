"""What a service allows, and to whom."""

from dataclasses import dataclass

from asr.options import require

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Settings of a service.

    Attributes:
        max_request_bytes: Of a request, the recording in it included.
        max_audio_s: Of a recording, in seconds.
        max_requests: Taken in at a time: being received, waiting and being recognised.
        max_batch: Recordings recognised together at most.
        batch_wait_s: How long the first of a batch waits for others, in seconds.
        max_receive_s: How long a request may take to arrive, in seconds.
        max_drain_s: How long what is in hand may take when the service is to end, in seconds.
        token: What every client has to show; None if anyone may ask.
        hosts: Names by which the service may be called; empty if by any.
        models: Further names for the model, beside its own.
    """

    max_request_bytes: int = 25 * MEGABYTE
    max_audio_s: float = 3600.0
    max_requests: int = 64
    max_batch: int = 16
    batch_wait_s: float = 0.005
    max_receive_s: float = 300.0
    max_drain_s: float = 60.0
    token: str | None = None
    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ("whisper-1",)

    def __post_init__(self) -> None:
        for name in ("max_request_bytes", "max_requests", "max_batch"):
            value = getattr(self, name)
            require(value >= 1, f"{name} from 1 on", value)
        for name in ("max_audio_s", "max_receive_s", "max_drain_s"):
            value = getattr(self, name)
            require(value > 0, f"{name} above 0", value)
        require(0 <= self.batch_wait_s <= 1, "batch_wait_s from 0 to 1", self.batch_wait_s)
        require(self.token is None or len(self.token) >= 8, "a token of 8 characters or more", "…")
