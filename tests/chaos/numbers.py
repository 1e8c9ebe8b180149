"""A flow that counts, with two sinks: one writes each number to a file, the other to a line of one
file. The output shows which numbers were lost, released twice or released by two owners.

In one case a line may be there twice (docs/flow-files.md): its owner was interrupted after it wrote
the line and before the write was committed, and the queue went to another node. Then both lines are
of the same flow file."""

import collections
import os

import harness

FLOW = """
processors:
  - name: source
    type: GenerateFlowFile
    properties: {{interval: 50ms, content: "${{index}} ${{generated.epoch}} ${{generated.at}}"}}
  - name: middle
    type: ReplaceText
    terminate: [failure]
    properties: {{pattern: "^(.*)$", replacement: "\\\\1 m"}}
  - name: files
    type: PutFile
    shared: true
    terminate: [success, failure]
    properties: {{directory: "{directory}/files", filename: "${{index}}-${{generated.epoch}}-${{generated.at}}"}}
  - name: lines
    type: PutFile
    shared: true
    terminate: [success, failure]
    properties: {{directory: "{directory}", filename: lines, mode: append}}
connections:
  - {{from: source, relationship: success, to: middle}}
  - {{from: middle, relationship: success, to: files}}
  - {{from: middle, relationship: success, to: lines}}
"""


class Numbers:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory + "/files")
        # (index, epoch, made at) of each file. They are kept because there are many, and they never
        # change.
        self.seen = set()
        self.names = set()  # The names of these files.
        self.told = set()  # The faults that were reported in earlier rounds.
        self.newest = 0  # The highest index seen.
        self.in_doubt = 0  # Lines up to this index were made before the last interruption ended.
        self.doubled = set()  # The lines that an interruption has written twice.

    def flow(self):
        return FLOW.format(directory=self.directory)

    def _read(self):
        for name in os.listdir(self.directory + "/files"):
            if name in self.names or not name[0].isdigit():
                continue
            self.names.add(name)
            self.seen.add(tuple(int(part) for part in name.split("-")))
        lines, torn = [], []
        try:
            with open(self.directory + "/lines", errors="replace") as file:
                for line in file:
                    parts = line.split()
                    good = len(parts) == 4 and parts[3] == "m" and line.endswith("\n") or not line.strip()
                    (lines if len(parts) == 4 and good else torn).append(
                        tuple(int(p) for p in parts[:3]) if len(parts) == 4 and good else line)
        except FileNotFoundError:
            pass
        return lines, [line for line in torn if line.strip()]

    def faults(self, patience, interrupted):
        """Waits until all numbers have arrived, for at most `patience` seconds, and returns the new
        faults. `interrupted`: the faults of this round may have cut off a trigger."""
        found = {}

        def complete():
            found["lines"], found["torn"] = self._read()
            made = [index for index, _, _ in self.seen] + [index for index, _, _ in found["lines"]]
            whole = set(range(max(min(max(made, default=0), 1 << 30) - 60, 0)))
            found["files missing"] = sorted(whole - {index for index, _, _ in self.seen})
            found["lines missing"] = sorted(whole - {index for index, _, _ in found["lines"]})
            return not found["files missing"] and not found["lines missing"]
        try:
            harness.wait_until(complete, patience, "every number has arrived", every=0.5)
        except harness.Timeout:
            pass
        faults = [(what, len(found[what]), found[what][:10])
                  for what in ("files missing", "lines missing") if found[what]]
        self.newest = max([self.newest] + [index for index, _, _ in found["lines"]])
        if interrupted:
            self.in_doubt = self.newest
        faults += self._twice("file", self.seen) + self._twice("line", self._told_apart(found["lines"]))
        faults += [("a torn line", line) for line in found["torn"][:3]]
        order = [epoch for _, epoch, _ in sorted(self.seen)]
        if order != sorted(order):
            faults.append(("an older epoch's number is above a newer epoch's",))
        new = [fault for fault in faults if repr(fault) not in self.told]
        self.told.update(repr(fault) for fault in faults)
        return new

    def _told_apart(self, lines):
        """The lines. A line that an interruption may have written twice is given once."""
        kept = []
        for line, count in collections.Counter(lines).items():
            doubled = count == 2 and line[0] <= self.in_doubt
            if doubled:
                self.doubled.add(line)
            kept += [line] * (1 if doubled else count)
        return kept

    @staticmethod
    def self_test():
        """The check must report a line that is there twice without a reason, or three times in any
        case."""
        numbers = Numbers.__new__(Numbers)
        numbers.doubled, numbers.in_doubt = set(), 5
        for lines, wrong in (([(3, 1, 7)] * 2, 0), ([(3, 1, 7)] * 3, 1), ([(6, 1, 7)] * 2, 1),
                             ([(3, 1, 7), (3, 2, 8)], 1)):
            assert len(Numbers._twice("line", numbers._told_apart(lines))) == wrong, lines
        assert numbers.doubled == {(3, 1, 7)}

    @staticmethod
    def _twice(what, numbers):
        counts = collections.Counter(index for index, _, _ in numbers)
        return [(f"a {what} twice", index, sorted(n for n in numbers if n[0] == index))
                for index, count in counts.items() if count > 1][:5]
