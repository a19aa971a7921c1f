# SPDX-License-Identifier: Apache-2.0
"""Runs lib/archive through archive-tool, and undoes it with the tools of the distribution."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
sys.path.insert(0, os.path.join(HERE, '..', 'tools'))

from suite import wait_until  # noqa: E402

BUILD = os.environ.get('BACKUPX_BUILD', os.path.join(HERE, '..', '..', 'build'))
TOOL = os.path.join(BUILD, 'tests', 'storage', 'archive-tool')
RESTORE_TOOL = os.path.join(BUILD, 'tests', 'storage', 'restore-tool')
TREECMP = os.path.join(HERE, '..', 'tools', 'treecmp.py')
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
# Their memory is not the programs'.
SANITIZED = 'ASAN_OPTIONS' in os.environ
if SANITIZED:
    # The search for leaks does not go together with strace, which injects the faults.
    os.environ['ASAN_OPTIONS'] += ':detect_leaks=0'
STATES = {'succeeded': 0, 'partial': 3, 'failed': 4, 'cancelled': 5}


def remove_tree(path):
    """Paths may be longer than rm of Python takes."""
    subprocess.run(['rm', '-rf', '--one-file-system', path], check=False)


class Hold:
    """Stops a backup in the middle of reading a file, until it is let go."""

    def __init__(self, path, folder):
        self.mark = os.path.join(folder, 'hold')
        shim = os.path.join(os.path.abspath(BUILD), 'tests', 'storage', 'libhold-read.so')
        self.prefix = ['env', f'LD_PRELOAD={shim}', f'BACKUPX_TEST_HOLD={self.mark}',
                       f'BACKUPX_TEST_HOLD_PATH={path}']
        if SANITIZED:
            self.prefix.append(f'ASAN_OPTIONS={os.environ["ASAN_OPTIONS"]}:verify_asan_link_order=0')

    def wait(self):
        """Waits until it stands still."""
        wait_until(lambda: os.path.exists(self.mark + '.held'), 120, 'the middle of the file')

    def let_go(self):
        """It may go on."""
        with open(self.mark + '.go', 'wb'):
            pass


def has_strace():
    """Whether faults can be injected here."""
    try:
        return subprocess.run(['strace', '-qq', 'true'], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Case(unittest.TestCase):
    """A folder that is gone afterwards, and backups into it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='backupx-archive-')
        self.addCleanup(remove_tree, self.folder)
        self.mounts = []
        self.addCleanup(self.unmount)
        self.store = self.path('store')
        os.mkdir(self.store)

    def unmount(self):
        for mount in reversed(self.mounts):
            subprocess.run(['umount', '-l', mount], check=False, capture_output=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def root_only(self):
        if os.geteuid() != 0:
            self.skipTest('needs root')

    def mount_tmpfs(self, name, size='16M'):
        """A small file system, with its own device number."""
        self.root_only()
        where = self.path(name)
        os.makedirs(where, exist_ok=True)
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', where],
                              capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest('cannot mount a tmpfs here')
        self.mounts.append(where)
        return where

    def command(self, sources, *, targets=None, key='run/', options=(), tool=TOOL):
        words = [tool, '--key', key]
        for target in [self.store] if targets is None else targets:
            words += ['--target', target]
        return words + list(options) + list(sources)

    def backup(self, sources, *, state='succeeded', prefix=(), timeout=300, **more):
        """Runs a backup; its result, with the log lines and the peak memory in MiB."""
        command = list(prefix) + self.command(sources, **more)
        with tempfile.TemporaryFile() as log, subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log) as process:
            out, _ = process.communicate(timeout=timeout)
            log.seek(0)
            text = log.read().decode(errors='surrogateescape')
        self.assertIn(process.returncode, STATES.values(), text)
        result = json.loads(out)
        result['log'] = text
        self.assertEqual(result['state'], state, json.dumps(result, indent=1))
        return result

    def codes(self, result):
        """path -> code of what a result names."""
        found = {}
        for error in result['errors']:
            path = error['path']
            if isinstance(path, dict):
                path = path['base64']
            found[path] = error['code']
        return found

    def objects(self, store=None):
        """Every file below a target, temporary ones too."""
        found = []
        for here, _, names in os.walk(store or self.store):
            found += [os.path.relpath(os.path.join(here, name), store or self.store) for name in names]
        return sorted(found)

    def extract(self, store=None, key='run', identity=None):
        """The command of docs/formats.md; the folder it filled."""
        out = tempfile.mkdtemp(prefix='out-', dir=self.folder)
        name = 'data.tar.zst.age' if identity else 'data.tar.zst'
        source = os.path.join(store or self.store, key, name)
        opened = f"cat '{source}'* | age -d -i '{identity}'" if identity else f"cat '{source}'*"
        script = (f'set -o pipefail; {opened} | zstd -qd | '
                  "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -xpf -")
        done = subprocess.run(['bash', '-c', script], cwd=out, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors='replace')[:2000])
        return out

    def members(self, store=None, key='run'):
        """Names in the archive, as tar lists them."""
        source = os.path.join(store or self.store, key, 'data.tar.zst')
        script = f"set -o pipefail; zstd -qdc '{source}' | tar --quoting-style=escape -tf -"
        done = subprocess.run(['bash', '-c', script], check=True, capture_output=True, text=True)
        return done.stdout.split('\n')[:-1]

    def manifest(self, store=None, key='run'):
        source = os.path.join(store or self.store, key, 'manifest.json.zst')
        return json.loads(subprocess.run(['zstd', '-qdc', source], check=True, capture_output=True).stdout)

    def assert_same(self, one, other):
        done = subprocess.run([sys.executable, TREECMP, one, other], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors='replace')[:4000])


def peak_memory(command, timeout=600):
    """Runs a command; (MiB at its peak, its output)."""
    # A child of our own: the largest of all children so far says nothing of this one.
    code = ('import resource, subprocess, sys\n'
            'done = subprocess.run(sys.argv[1:], capture_output=True)\n'
            'peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n'
            'sys.stdout.buffer.write(b"%d\\n" % (peak // 1024) + done.stdout)\n'
            'sys.stderr.buffer.write(done.stderr)\n'
            'sys.exit(done.returncode)\n')
    done = subprocess.run([sys.executable, '-c', code] + command, capture_output=True, timeout=timeout,
                          check=True)
    first, _, rest = done.stdout.partition(b'\n')
    return int(first), json.loads(rest)
