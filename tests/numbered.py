"""A flow that counts, and checks of the files that it wrote. The name of each file has its index,
the epoch that made it, and the time. So the files show which ones were lost, which were released
twice, and which owner released them."""

import collections
import os

from harness import Timeout, wait_until

# The source may run on node-1 and node-2, which the tests kill or freeze. node-3 writes its files.
# A file that two owners released has two names.
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
    """Starts a cluster that was made with start=False. node-3 is labelled back, the others
    front."""
    for node in cluster.nodes:
        side = "back" if node.name == "node-3" else "front"
        node.flags += [f"--cluster-labels=side={side}", f"--file-root={directory}"]
    cluster.start()
    cluster.wait_healthy()


def files(directory):
    """(index, epoch, Unix time of making in ms) of each file that is completely written."""
    return [tuple(int(part) for part in name.split("-")) for name in os.listdir(directory)
            if name[0].isdigit()]


def written(directory):
    """The number of files of each index."""
    return collections.Counter(index for index, _, _ in files(directory))


def wait_for_more(directory, count=50, deadline=30, epoch=None):
    """Waits until more than `count` new files are written. If `epoch` is given, only files of that
    epoch count; otherwise files that had waited in a queue count, too."""
    def now():
        return len({index for index, by, _ in files(directory) if epoch in (None, by)})
    before = now()
    wait_until(lambda: now() > before + count, deadline, "files are written")


def missing(directory):
    """The missing indexes below the highest one. The highest one is read first, because a listing
    of a directory that is written to does not show one moment."""
    highest = max(written(directory), default=0)
    found = written(directory)
    return [index for index in range(highest) if index not in found]


def check_numbered(case, directory):
    """Checks that no index below the highest one is missing, that none is there twice, and that one
    owner came after the other. Returns the epochs that released, in order of index."""
    try:
        wait_until(lambda: not missing(directory), 15, "no index is missing")
    except Timeout:
        gaps, all_files = missing(directory), sorted(files(directory))
        beside = [each for each in all_files if {each[0] - 1, each[0] + 1} & set(gaps)]
        case.fail(f"{len(gaps)} of {len(all_files)} are missing: {gaps[:50]}, beside {beside[:10]}")
    twice = [index for index, count in written(directory).items() if count > 1]
    case.assertEqual(twice, [], "indexes were released twice")
    order = [epoch for _, epoch, _ in sorted(files(directory))]
    case.assertEqual(order, sorted(order), "an older owner's release came after a newer's")
    return order
