#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy with the project's .clang-tidy: over lib/base, and in the long rounds over everything (minutes).

    tests/tools/tidy.py              lib/base
    tests/tools/tidy.py lib agent    these folders
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOL = 'clang-tidy-14'
ALL = ['lib', 'services', 'agent', 'cli']
# Those whose headers are not in a folder that every compiler looks into.
LIBRARIES = ['libsystemd', 'libmicrohttpd', 'jansson', 'libcurl', 'sqlite3', 'libzstd', 'yaml-0.1']


def flags():
    """How a file is compiled, as far as its meaning depends on it."""
    libraries = subprocess.run(
        ['pkg-config', '--cflags', *LIBRARIES], check=True, capture_output=True, text=True
    ).stdout.split()
    return [
        '-std=gnu11', '-I.', '-Ilib', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64',
        '-DBACKUPX_VERSION="0"', '-DBACKUPX_LIBEXECDIR="/x"', *libraries,
    ]  # fmt: skip


def check(path, options):
    """What the tool says of one file; empty where it is content."""
    done = subprocess.run(
        [TOOL, '--quiet', str(path), '--', *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return '' if done.returncode == 0 else f'{path}:\n{done.stdout}{done.stderr}'


def main():
    """Runs it over each file of the folders."""
    long = os.environ.get('BACKUPX_TEST_LONG') == '1'
    folders = sys.argv[1:] or (ALL if long else ['lib/base'])
    files = sorted(
        path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob('*.c')
    )
    if not files:
        sys.exit(f'no files in {" ".join(folders)}')
    options = flags()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [text for text in pool.map(lambda path: check(path, options), files) if text]
    print('\n'.join(findings))
    print(f'{len(files)} files, {len(findings)} with findings')
    sys.exit(bool(findings))


if __name__ == '__main__':
    main()
