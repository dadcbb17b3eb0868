"""Freed memory stays with the process that asked for it, and with no other."""

import platform
import subprocess
import sys
import weakref

import pytest

from ecgfounder_ft.memory import give_back

PROGRAM = """
import resource, sys
from ecgfounder_ft.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(50_000_000)
before = faults()
for _ in range(10):
    bytearray(50_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_a_block_that_was_freed_is_taken_again_without_page_faults() -> None:
    def faults(way: str) -> int:
        run = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert faults("keep") < 1000
    assert faults("default") > 10_000  # 50 MB in pages of 4 KB, ten times


def test_what_a_trial_left_in_circles_is_given_back() -> None:
    class Held:
        pass

    held = Held()
    held.itself = held  # type: ignore[attr-defined]
    seen = weakref.ref(held)
    del held
    give_back()
    assert seen() is None
