#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A job's memory does not depend on its sources, and it writes nowhere but to its targets."""

import os
import re
import subprocess
import unittest

import backups
import trees

LIMIT = 96  # MiB
MIB = 1 << 20


@unittest.skipIf(backups.SANITIZED, 'the memory of the sanitizers would be measured')
class Memory(backups.Case):
    """Peaks of archive-tool, encrypted, at level 3 unless said."""

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)
        subprocess.run(['age-keygen', '-o', self.path('key')], check=True, capture_output=True)
        with open(self.path('key'), encoding='utf-8') as file:
            self.sealed = ['--recipient', re.search('age1[0-9a-z]+', file.read()).group()]

    def peak(self, limit=LIMIT, **more):
        peak, result = backups.peak_memory(self.command([self.source], options=self.sealed, **more))
        print(f'{self.id()}: {peak} MiB at most', flush=True)
        self.assertEqual(result['state'], 'succeeded')
        self.assertLess(peak, limit)
        return result

    def make_many(self, folders, files):
        # Making them on a disk takes far longer than reading them.
        if os.geteuid() == 0:
            self.mount_tmpfs('source', '8G')
        for i in range(folders):
            folder = f'{self.source}/folder-{i % 17}/another-{i}'
            os.makedirs(folder)
            here = os.open(folder, os.O_RDONLY)
            for j in range(files):
                fd = os.open(f'file-{j:07d}', os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
                os.write(fd, b'%d of %d\n' % (j, i))
                os.close(fd)
            os.close(here)

    def test_a_large_file(self):
        size = (4096 if backups.LONG else 300) * MIB
        with open(self.source + '/large', 'wb') as file:
            block = os.urandom(MIB)
            for i in range(size // MIB):
                file.write(i.to_bytes(8, 'big') + block[8:])
        self.peak()

    def test_many_files(self):
        self.make_many(1000 if backups.LONG else 100, 1000)
        result = self.peak()
        self.assertEqual(result['files'], 1000000 if backups.LONG else 100000)

    def test_one_large_directory(self):
        count = 1000000 if backups.LONG else 100000
        self.make_many(1, count)
        self.assertEqual(self.peak()['files'], count)

    def test_the_strongest_level(self):
        trees.write(self.source + '/data', os.urandom(MIB) * 24)
        self.sealed += ['--level', '19']
        self.peak()

    def test_three_targets(self):
        targets = []
        for i in range(3):
            targets.append(self.path(f'store-{i}'))
            os.mkdir(targets[-1])
        trees.write(self.source + '/data', os.urandom(64 * MIB))
        self.peak(targets=targets)

    def test_no_temporary_files(self):
        trees.write(self.source + '/data', os.urandom(16 * MIB))
        trace = self.path('trace')
        calls = 'trace=open,openat,openat2,creat,mkdir,mkdirat'
        done = subprocess.run(['strace', '-f', '-qq', '-e', calls, '-o', trace]
                              + self.command([self.source], options=self.sealed),
                              capture_output=True, check=False)
        if done.returncode == 127:
            self.skipTest('needs strace')
        self.assertEqual(done.returncode, 0)
        with open(trace, encoding='utf-8', errors='replace') as file:
            for line in file:
                if re.search('O_CREAT|O_WRONLY|O_RDWR|mkdir|creat', line):
                    # Relative to a directory of the target, without a name or with the object's.
                    self.assertRegex(line, r'"\.", O_RDWR|"run"|^\d+ openat2', line)


if __name__ == '__main__':
    unittest.main(verbosity=2)
