"""A command that makes no sense, beyond what argparse can see."""

from asr.errors import OptionsError


class UsageError(OptionsError):
    """The arguments contradict each other or what is there; nothing was begun. Exit code 2."""
