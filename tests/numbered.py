"""A flow that counts, and what it wrote: each file's name carries its index, the epoch that made it
and when. So the files show what was lost, what was released twice, and by whom."""

import collections
import os

from harness import Timeout, wait_until

# The source may run on node-1 and node-2, which are hurt; what it releases is written by node-3.
# A file that two owners released is there under two names.
NUMBERED = """
processors:
  - name: source
    type: GenerateFlowFile
    constraints: {{require: {{side: front}}}}
    properties: {{interval: 10ms, count: "{count}", content: "${{index}}"}}
  - name: sink
    type: PutFile
    terminate: [failure]
    constraints: {{require: {{side: back}}}}
    properties: {{directory: "{directory}", filename: "${{index}}-${{generated.epoch}}-${{generated.at}}"}}
connections:
  - {{from: source, relationship: success, to: sink}}
"""


def two_sides(cluster, directory):
    """Starts a cluster that was made with start=False: node-3 is the back, the others are the front."""
    for node in cluster.nodes:
        side = "back" if node.name == "node-3" else "front"
        node.flags += [f"--cluster-labels=side={side}", f"--file-root={directory}"]
    cluster.start()
    cluster.wait_healthy()


def files(directory):
    """(index, epoch, Unix time of making in ms) of each, but for those that are being written."""
    return [tuple(int(part) for part in name.split("-")) for name in os.listdir(directory)
            if name[0].isdigit()]


def written(directory):
    """How many files there are of each index."""
    return collections.Counter(index for index, _, _ in files(directory))


def wait_for_more(directory, count=50, deadline=30, epoch=None):
    """Until there are so many more files: of that epoch, if given, or what waited in a queue counts too."""
    def now():
        return len({index for index, by, _ in files(directory) if epoch in (None, by)})
    before = now()
    wait_until(lambda: now() > before + count, deadline, "files are written")


def missing(directory):
    """The indexes that are not there, of those below the highest one that was there before the look:
    a directory that is written to is not listed at one moment."""
    highest = max(written(directory), default=0)
    found = written(directory)
    return [index for index in range(highest) if index not in found]


def check_numbered(case, directory):
    """Nothing is missing below the highest index, nothing is there twice, and one owner came after
    the other. Returns the epochs that released, in order of index."""
    try:
        wait_until(lambda: not missing(directory), 15, "no index is missing")
    except Timeout:
        gaps, all_files = missing(directory), sorted(files(directory))
        beside = [each for each in all_files if {each[0] - 1, each[0] + 1} & set(gaps)]
        case.fail(f"{len(gaps)} of {len(all_files)} are missing: {gaps[:50]}, beside {beside[:10]}")
    twice = [index for index, count in written(directory).items() if count > 1]
    case.assertEqual(twice, [], "released twice")
    order = [epoch for _, epoch, _ in sorted(files(directory))]
    case.assertEqual(order, sorted(order), "an older owner's release came after a newer's")
    return order
