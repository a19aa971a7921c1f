#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A sealed archive against tar | zstd -T2 | age: time, processor time and memory, side by side in one run.

Big files of random bytes (nothing to compress, so everything else shows). Goal: at most 0.9 of the pipeline's
time and 1.15 of its processor time, although ours hashes what it reads and what it writes, keeps an index,
and syncs to disk. Both write to the same disk, in turn; the medians are compared.

Sizes: --size MiB of each of the 20 files, --rounds. With --strict a goal that was missed is a failure.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FILES = 20
GOAL_WALL = 0.9
GOAL_CPU = 1.15


def measure(command):
    """Runs a shell command: (seconds, processor seconds of all its processes)."""
    before, begun = os.times(), time.monotonic()
    subprocess.run(['bash', '-euo', 'pipefail', '-c', command], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - begun, cpu


def make_source(folder, size):
    """The files."""
    folder.mkdir()
    for number in range(FILES):
        with open(folder / f'file-{number}', 'wb') as file:
            for _ in range(size):
                file.write(os.urandom(1 << 20))


def main():
    """Runs both in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--size', type=int, default=107)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--strict', action='store_true')
    options = parser.parse_args()
    tool = pathlib.Path(os.environ.get('BACKUPX_BUILD', 'build')).resolve() / 'tests/storage/archive-tool'
    folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-bench-', dir='/var/tmp'))
    try:
        make_source(folder / 'source', options.size)
        key = folder / 'key'
        subprocess.run(['age-keygen', '-o', str(key)], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.check_output(['age-keygen', '-y', str(key)], text=True).strip()
        commands = {
            'ours': f'rm -rf {folder}/out; mkdir {folder}/out; {tool} --target {folder}/out --level 3'
                    f' --recipient {recipient} {folder}/source 2>/dev/null',
            'pipe': f'rm -f {folder}/pipe; tar -C / -cf - {str(folder)[1:]}/source | zstd -q -T2 -3 |'
                    f' age -r {recipient} >{folder}/pipe',
        }
        figures = {name: [] for name in commands}
        for command in commands.values():
            measure(command)
        for _ in range(options.rounds):
            for name, command in commands.items():
                os.sync()
                figures[name].append(measure(command))
    finally:
        shutil.rmtree(folder)
    met = True
    for what, column, goal in (('time', 0, GOAL_WALL), ('processor time', 1, GOAL_CPU)):
        ours, pipe = (statistics.median(f[column] for f in figures[name]) for name in ('ours', 'pipe'))
        met = met and ours / pipe <= goal
        print(f'{what}: ours {ours:.2f} s, tar | zstd -T2 | age {pipe:.2f} s, ratio {ours / pipe:.2f}; '
              f'goal {goal}: {"met" if ours / pipe <= goal else "MISSED"}', flush=True)
    return 0 if met or not options.strict else 1


if __name__ == '__main__':
    sys.exit(main())
