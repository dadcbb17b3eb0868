"""What this process does with the memory that it frees, its own and the device's."""

import ctypes
import gc
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h
_KEPT_BYTES = (1024**3, 32 * 1024**2)  # the second is the most that older versions take


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc; elsewhere nothing changes.

    By default glibc hands large blocks back to the system at once. An activation or a filtered signal is such a block,
    and taking it again costs a page fault for every 4 KB. Memory at its peak stays the same. Meant for processes of our
    own, not for a library's import.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            for size in _KEPT_BYTES:
                if mallopt(option, size):
                    break


def give_back() -> None:
    """Free what a finished run left in circles of references, and give the device's memory back to other processes."""
    gc.collect()
    torch = sys.modules.get("torch")  # nothing to give back where nothing has imported it
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
