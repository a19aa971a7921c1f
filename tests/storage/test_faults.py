#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sources that change or fail while they are read, targets that fail, and jobs that are killed."""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

import backups
import trees

MIB = 1 << 20


def have_strace():
    return subprocess.run(['strace', '-V'], capture_output=True, check=False).returncode == 0


class DeadMount:
    """A FUSE file system whose server never answers, or is gone."""

    def __init__(self, case, where, gone=False):
        case.root_only()
        os.makedirs(where, exist_ok=True)
        try:
            self.fd = os.open('/dev/fuse', os.O_RDWR)
        except OSError:
            case.skipTest('there is no /dev/fuse')
        libc = ctypes.CDLL(None, use_errno=True)
        options = f'fd={self.fd},rootmode=40000,user_id=0,group_id=0'
        if libc.mount(b'dead', where.encode(), b'fuse', 0, options.encode()) != 0:
            os.close(self.fd)
            case.skipTest('cannot mount FUSE here')
        case.mounts.append(where)
        if gone:
            os.close(self.fd)
        else:
            case.addCleanup(os.close, self.fd)


class Sources(backups.Case):
    """The archive stays well-formed, and the result names what is missing."""

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)
        trees.write(self.source + '/a', b'before\n')
        trees.write(self.source + '/z', b'after\n')

    def run_while(self, path, change, **more):
        """Starts a backup, and calls change while it stands still in the middle of path."""
        held = backups.Hold(path, self.folder)
        failed = []

        def meanwhile():
            try:
                held.wait()
                change()
            except Exception as error:
                failed.append(error)
            held.let_go()

        thread = threading.Thread(target=meanwhile)
        thread.start()
        try:
            return self.backup([self.source], prefix=held.prefix, **more)
        finally:
            thread.join()
            self.assertEqual(failed, [])

    def check_others(self):
        out = self.extract() + self.source
        with open(out + '/z', 'rb') as file:
            self.assertEqual(file.read(), b'after\n')
        return out

    def test_shrinks(self):
        path = self.source + '/log'
        trees.write(path, b'x' * (4 * MIB))
        result = self.run_while(path, lambda: os.truncate(path, 100), state='partial')
        self.assertEqual(self.codes(result), {path: 'SHRANK'})
        self.assertIn(path, result['log'])
        self.assertEqual(os.stat(self.check_others() + '/log').st_size, 4 * MIB)

    def test_grows(self):
        path = self.source + '/log'
        trees.write(path, b'x' * (4 * MIB))

        def grow():
            with open(path, 'ab') as file:
                file.write(b'y' * MIB)
        result = self.run_while(path, grow)
        self.assertEqual(self.codes(result), {path: 'GREW'})
        out = self.check_others()
        with open(out + '/log', 'rb') as file:
            self.assertEqual(file.read(), b'x' * (4 * MIB))

    def test_changes(self):
        path = self.source + '/log'
        trees.write(path, b'x' * (4 * MIB))

        def change():
            with open(path, 'r+b') as file:
                file.write(b'y')
        result = self.run_while(path, change)
        self.assertEqual(self.codes(result), {path: 'CHANGED'})
        self.check_others()

    def test_vanishes(self):
        trees.write(self.source + '/big', b'x' * (4 * MIB))
        os.mkdir(self.source + '/dir')
        for name in ('m', 'n', 'dir/x'):
            trees.write(f'{self.source}/{name}')

        def remove():
            os.unlink(self.source + '/m')
            os.unlink(self.source + '/dir/x')
            os.rmdir(self.source + '/dir')
        result = self.run_while(self.source + '/big', remove)
        self.assertEqual(self.codes(result),
                         {self.source + '/m': 'VANISHED', self.source + '/dir': 'VANISHED'})
        self.assertTrue(os.path.exists(self.check_others() + '/n'))

    def test_a_source_that_is_not_there_is_lost(self):
        result = self.backup([self.source, self.path('nothing')], state='partial')
        self.assertEqual(self.codes(result), {self.path('nothing'): 'UNREADABLE'})
        self.assertIn(self.path('nothing'), result['log'])
        self.check_others()

    def test_unreadable(self):
        self.root_only()
        trees.write(self.source + '/secret', b'x', 0)
        os.mkdir(self.source + '/locked', 0o700)
        trees.write(self.source + '/locked/x')
        os.chmod(self.folder, 0o755)
        os.chmod(self.store, 0o777)
        # The build may lie where nobody else comes to.
        tool = shutil.copy(backups.TOOL, self.folder)
        result = self.backup([self.source], state='partial', tool=tool,
                             prefix=['setpriv', '--reuid=65534', '--clear-groups'])
        self.assertEqual(self.codes(result), {self.source + '/secret': 'UNREADABLE',
                                              self.source + '/locked': 'UNREADABLE'})
        for path in ('/secret', '/locked'):
            self.assertIn(f'{self.source}{path}: ', result['log'])
        out = self.check_others()
        self.assertEqual(os.listdir(out + '/locked'), [])
        self.assertFalse(os.path.exists(out + '/secret'))

    def test_read_errors(self):
        if not have_strace():
            self.skipTest('needs strace')
        path = self.source + '/bad'
        trees.write(path, b'x' * (8 * MIB))
        # The first read is of 'a', then of 'bad' by 1 MiB.
        broken = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=pread64', '-e',
                  'inject=pread64:error=EIO:when=4']
        result = self.backup([self.source], state='partial', prefix=broken)
        self.assertEqual(self.codes(result), {path: 'UNREADABLE'})
        self.assertIn('Input/output error', result['log'])
        out = self.check_others()
        with open(out + '/bad', 'rb') as file:
            data = file.read()
        self.assertEqual(len(data), 8 * MIB)
        self.assertEqual(data.rstrip(b'\0'), data[:len(data.rstrip(b'\0'))].replace(b'\0', b'x'))

    def test_a_mount_point_that_is_dead(self):
        mount = self.source + '/mnt'
        DeadMount(self, mount, gone=True)
        result = self.backup([self.source], state='partial')
        self.assertEqual(self.codes(result), {mount: 'UNREADABLE'})
        self.check_others()

    def test_a_mount_point_that_hangs(self):
        mount = self.source + '/mnt'
        DeadMount(self, mount)
        started = time.monotonic()
        result = self.backup([self.source], state='partial', options=['--source-stall', '1000'])
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(self.codes(result), {mount: 'STALLED'})
        self.assertIn(mount, result['log'])
        self.check_others()

    def test_a_source_that_hangs(self):
        mount = self.path('mnt')
        DeadMount(self, mount)
        result = self.backup([self.source, mount], state='partial', options=['--source-stall', '1000'])
        self.assertEqual(self.codes(result), {mount: 'STALLED'})
        self.check_others()


class Targets(backups.Case):
    """A target that fails leaves nothing under a final name, and the others go on."""

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)
        trees.write(self.source + '/random', os.urandom(12 * MIB))

    def test_full(self):
        full = self.mount_tmpfs('full', '4M')
        result = self.backup([self.source], targets=[full, self.store], state='partial')
        self.assertEqual([t['succeeded'] for t in result['targets']], [False, True])
        self.assertEqual(result['targets'][0]['code'], 'STORAGE_FULL')
        self.assertIn(full, result['targets'][0]['error'])
        self.assertEqual(os.listdir(full), [])
        self.assert_same(self.source, self.extract() + self.source)

    def test_full_alone(self):
        full = self.mount_tmpfs('full', '4M')
        result = self.backup([self.source], targets=[full], state='failed')
        self.assertEqual(result['code'], 'STORAGE_FULL')
        self.assertIn(full, result['message'])
        self.assertEqual(os.listdir(full), [])

    def test_full_at_the_commit(self):
        # No inode is left for a name.
        self.root_only()
        where = self.path('inodes')
        os.mkdir(where)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64M,nr_inodes=3', 'tmpfs', where], check=True)
        self.mounts.append(where)
        result = self.backup([self.source], targets=[where, self.store], state='partial')
        self.assertEqual(result['targets'][0]['code'], 'STORAGE_FULL')
        self.assertEqual(self.objects(where), [])

    def test_read_only(self):
        self.root_only()
        where = self.mount_tmpfs('ro')
        subprocess.run(['mount', '-o', 'remount,ro', where], check=True)
        result = self.backup([self.source], targets=[where], state='failed')
        self.assertEqual(result['code'], 'STORAGE_DENIED')
        self.assertIn(f'backupx agent allow-storage {where}', result['message'])

    def test_missing(self):
        where = self.path('not/there')
        result = self.backup([self.source], targets=[where], state='failed')
        self.assertEqual(result['code'], 'STORAGE_MISSING')
        self.assertIn(where, result['message'])

    def test_never_overwrites(self):
        self.backup([self.source])
        before = {name: os.stat(os.path.join(self.store, name)).st_mtime_ns for name in self.objects()}
        result = self.backup([self.source], state='failed')
        self.assertEqual(result['code'], 'OBJECT_EXISTS')
        self.assertEqual(before, {name: os.stat(os.path.join(self.store, name)).st_mtime_ns
                                  for name in self.objects()})

    def test_a_link_in_the_way_is_not_followed(self):
        outside = self.path('outside')
        os.mkdir(outside)
        os.symlink(outside, self.store + '/run')
        self.backup([self.source], state='failed')
        self.assertEqual(os.listdir(outside), [])

    def test_one_that_hangs_is_dropped(self):
        dead = self.path('dead')
        DeadMount(self, dead)
        started = time.monotonic()
        result = self.backup([self.source], targets=[dead, self.store], state='partial',
                             options=['--target-stall', '1500', '--source-stall', '1000'])
        # A source that is the target is looked for, and nobody answers that either.
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(result['targets'][0]['code'], 'TARGET_STALLED')
        self.assert_same(self.source, self.extract() + self.source)

    def test_cancelled(self):
        for i in range(30):
            trees.write(f'{self.source}/{i}', os.urandom(12 * MIB))
        result = self.backup([self.source], state='cancelled', options=['--cancel-after', '60'])
        self.assertEqual(result['code'], 'CANCELLED')
        self.assertEqual(os.listdir(self.store), [])

    def test_killed(self):
        for i in range(10):
            trees.write(f'{self.source}/{i}', os.urandom(2 * MIB))
        dice = random.Random(7)
        whole = 0
        for i in range(25):
            store = self.path(f'store-{i}')
            os.mkdir(store)
            with subprocess.Popen(self.command([self.source], targets=[store]), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as process:
                time.sleep(dice.uniform(0, 0.12))
                process.send_signal(signal.SIGKILL)
            found = self.objects(store)
            if 'run/manifest.json.zst' in found:
                whole += 1
                self.assertEqual(len(found), 3)
                self.assert_same(self.source, self.extract(store) + self.source)
        self.assertLess(whole, 25)


if __name__ == '__main__':
    unittest.main(verbosity=2)
