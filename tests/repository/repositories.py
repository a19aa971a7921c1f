# SPDX-License-Identifier: Apache-2.0
"""Repositories for tests: stock restic, and the tools of this folder."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if 'ASAN_OPTIONS' in os.environ:
    # The search for leaks does not go together with strace, which injects the faults.
    os.environ['ASAN_OPTIONS'] += ':detect_leaks=0'
BUILD = pathlib.Path(os.environ.get('BACKUPX_BUILD') or ROOT / 'build').resolve()
WRITER_TOOL = BUILD / 'tests' / 'repository' / 'writer-tool'
PASSWORD = 'a password of a test'


def random_bytes(seed, n):
    """The same bytes for the same seed."""
    return random.Random(seed).randbytes(n)


def run(*arguments, **options):
    """What a command prints; its failure is one of the test, with what it said."""
    done = subprocess.run([os.fspath(a) for a in arguments], capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f'{arguments} gave {done.returncode}: {done.stderr.decode(errors="replace")}'
                             f'{done.stdout.decode(errors="replace")[-2000:]}')
    return done.stdout


class Repositories(unittest.TestCase):
    """A folder for repositories and sources, gone afterwards."""

    def setUp(self):
        """Makes the folder."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-test-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.repository = self.folder / 'repository'
        self.source = self.folder / 'source'
        self.source.mkdir()

    def restic(self, *arguments, **options):
        """Runs stock restic on the repository."""
        environment = {**os.environ, 'RESTIC_PASSWORD': PASSWORD, 'RESTIC_REPOSITORY': str(self.repository),
                       'RESTIC_CACHE_DIR': str(self.folder / 'cache')}
        return run('restic', *arguments, env=environment, **options)

    def restic_json(self, *arguments):
        """What a command of restic prints as JSON."""
        return json.loads(self.restic(*arguments))
