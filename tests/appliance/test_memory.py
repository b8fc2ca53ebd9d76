"""Free pages go back to the system while the worker lives."""

import subprocess
import sys

_CODE = """
import os
from routeiq_appliance.memory import give_back

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

blocks = [bytes(100_000) for _ in range(1000)]
blocks[:-1] = [None] * 999  # the last one keeps the end of the heap
before = resident()
give_back()
assert resident() < before - 50_000_000, (before, resident())
"""


def test_what_is_free_below_what_is_used_goes_back() -> None:
    subprocess.run([sys.executable, "-c", _CODE], check=True)
