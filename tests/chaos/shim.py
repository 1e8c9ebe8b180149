"""Builds tests/chaos/shim.c, and writes the page of memory that tells it the faults of one
process."""

import mmap
import os
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def build(directory):
    library = os.path.join(directory, "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, os.path.join(HERE, "shim.c"),
                    "-ldl"], check=True)
    return library


class Shim:
    """The faults of one process; at first there are none. `wrapper` goes in front of its
    command."""

    def __init__(self, library, page):
        with open(page, "wb") as file:
            file.write(bytes(4096))
        with open(page, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        self.wrapper = ("env", "LD_PRELOAD=" + library, "CHAOS_CONTROL=" + page)

    def jump(self, seconds):
        """Sets its wall clock this far from the clocks of the others. 0 makes it right again."""
        struct.pack_into("<q", self.page, 0, int(seconds * 1e9))

    def drift(self, rate):
        """Lets its steady clocks run at this rate from now on. Before a rate of 1, restart the
        process."""
        struct.pack_into("<q", self.page, 16, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        struct.pack_into("<d", self.page, 8, rate)

    def spoil_disk(self, sync_errno=0, write_errno=0, sync_delay_ms=0):
        struct.pack_into("<iii", self.page, 24, sync_errno, write_errno, sync_delay_ms)
