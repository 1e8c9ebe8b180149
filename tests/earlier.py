"""The earlier build that tests of mixed versions run: the daemon of the commit that the file
`earlier_build` names. It is built once, beside the present build."""

import os
import shutil
import subprocess

from harness import BUILD, ROOT

BUILD_SECONDS = 1800


def git(*words, **options):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, **options)


def earlier_program():
    """The path of the earlier `databridge`. Fails in words if the repository has not got its
    commit."""
    with open(os.path.join(ROOT, "tests", "earlier_build"), encoding="ascii") as file:
        commit = file.read().strip()
    sources = os.path.join(os.path.dirname(BUILD), "earlier", commit[:12])
    program = os.path.join(sources, "build", "release", "databridge")
    if os.path.exists(program):
        return program
    assert git("cat-file", "-e", commit + "^{commit}").returncode == 0, (
        f"the commit {commit} of tests/earlier_build is not in this clone: fetch the whole history"
        " (git fetch --unshallow)")
    shutil.rmtree(sources, ignore_errors=True)
    os.makedirs(sources)
    archive = git("archive", commit, check=True).stdout
    subprocess.run(["tar", "-x", "-C", sources], input=archive, check=True)
    built = subprocess.run([os.path.join(sources, "tools", "build.sh"), "release", "databridge"],
                           capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert built.returncode == 0, f"the earlier build failed:\n{built.stdout[-3000:]}{built.stderr[-3000:]}"
    return program
