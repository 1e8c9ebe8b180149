"""Ten rounds of mixed faults (tests/chaos/run.py). ROUNDS and SEED in the environment choose
others. The checker tests itself first."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Chaos(unittest.TestCase):
    def test_rounds_of_mixed_faults_leave_nothing_wrong(self):
        rounds, seed = os.environ.get("ROUNDS", "10"), os.environ.get("SEED", "1")
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "chaos", "run.py"), "--rounds", rounds, "--seed", seed,
             "--", "--cluster-heartbeat-timeout=2s", "--cluster-election-timeout=6s"])
        self.assertEqual(done.returncode, 0, "see the lines with WRONG above")


if __name__ == "__main__":
    unittest.main(verbosity=2)
