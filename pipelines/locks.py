"""Locks on files that go with the process that has them, by whatever end."""

import sys


def lock(handle: int) -> bool | None:
    """Locks an open file until it is closed.

    Returns:
        False if another has done so; None where the system or the file system has no locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True
