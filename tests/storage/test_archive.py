#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a backup holds, read with tar, zstd and age of the distribution."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import unittest

import backups
import trees


class Content(backups.Case):
    """Everything a file system can hold comes back."""

    def make_everything(self):
        source = self.path('source')
        os.mkdir(source)
        trees.make_small(source)
        if os.geteuid() == 0:
            trees.make_privileged(source)
        trees.make_deep(source, 3000)
        trees.make_socket(source + '/socket')
        many = source + '/many'
        os.mkdir(many)
        for i in range(2000):
            trees.write(f'{many}/{i:05d}', b'%d\n' % i)
        return source

    def test_stock_tools_give_the_same_tree(self):
        source = self.make_everything()
        result = self.backup([source])
        self.assertEqual(result['skipped'], 1)
        self.assert_same(source, self.extract() + source)

    def test_encrypted_for_two_recipients(self):
        source = self.make_everything()
        options = []
        for name in ('one', 'two'):
            subprocess.run(['age-keygen', '-o', self.path(name)], check=True, capture_output=True)
            with open(self.path(name), encoding='utf-8') as file:
                options += ['--recipient', re.search('age1[0-9a-z]+', file.read()).group()]
        result = self.backup([source], options=options)
        self.assertEqual([o['name'] for o in result['objects']],
                         ['data.tar.zst.age', 'entries.zst.age', 'manifest.json.zst.age'])
        for name in ('one', 'two'):
            self.assert_same(source, self.extract(identity=self.path(name)) + source)

    def test_digests_are_those_of_the_objects(self):
        source = self.make_everything()
        result = self.backup([source])
        for entry in result['objects']:
            with open(os.path.join(self.store, 'run', entry['name']), 'rb') as file:
                data = file.read()
            self.assertEqual(len(data), entry['size'])
            self.assertEqual(hashlib.sha256(data).hexdigest(), entry['sha256'])
        manifest = self.manifest()
        plain = subprocess.run(['zstd', '-qdc', self.store + '/run/data.tar.zst'], check=True,
                               capture_output=True).stdout
        self.assertEqual(manifest['plain']['size'], len(plain))
        self.assertEqual(manifest['plain']['sha256'], hashlib.sha256(plain).hexdigest())
        self.assertEqual(manifest['sources'], [source])
        offset = 0
        with open(self.store + '/run/entries.zst', 'rb') as file:
            for frame in manifest['entries']['frames']:
                file.seek(offset)
                self.assertEqual(hashlib.sha256(file.read(frame[1])).hexdigest(), frame[3])
                offset += frame[1]

    def test_paths_beyond_path_max(self):
        source = self.path('source')
        os.mkdir(source)
        trees.make_deep(source, 9000)
        self.backup([source])
        # tar cannot make what is longer than a system call takes, but it names it.
        below = source[1:] + '/' + '/'.join(['d' * 200] * (9000 // 201)) + '/bottom'
        self.assertEqual(self.members()[-1], below)
        out = self.path('out')
        os.mkdir(out)
        subprocess.run([backups.RESTORE_TOOL, '--target', self.store, '--destination', out], check=True,
                       capture_output=True)
        # Here it may say more than anybody wants to read.
        self.assertEqual(subprocess.run([sys.executable, backups.TREECMP, source, out + source],
                                        capture_output=True, check=False).returncode, 0)

    def test_deep_trees_need_few_descriptors(self):
        source = self.path('source')
        os.mkdir(source)
        here = os.open(source, os.O_RDONLY)
        for i in range(1500):
            for name in ('b', 'd') if i % 100 == 0 else ('d',):
                os.mkdir(name, dir_fd=here)
            below = os.open('d', os.O_RDONLY, dir_fd=here)
            # Names before and after, so that every directory is gone on with after its child.
            for name in ('a', 'z') if i % 50 == 0 else ():
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=here))
            os.close(here)
            here = below
        os.close(here)
        result = self.backup([source], prefix=['prlimit', '--nofile=200'])
        self.assertEqual(result['directories'], 1500 + 15 + 1 + source.count('/') - 1)
        self.assertEqual(result['files'], 60)

    def test_sparse_files_are_neither_read_nor_stored(self):
        source = self.path('source')
        os.mkdir(source)
        with open(source + '/sparse', 'wb') as file:
            for i in range(10):
                file.seek(i << 30)
                file.write(b'%d' % i * 1000)
            file.truncate(10 << 30)
        with open(source + '/hole', 'wb') as file:
            file.truncate(1 << 40)
        result = self.backup([source])
        self.assertLess(result['bytes_read'], 1 << 20)
        out = self.extract() + source
        self.assertEqual(os.stat(out + '/hole').st_size, 1 << 40)
        self.assertEqual(os.stat(out + '/hole').st_blocks, 0)
        self.assertLess(os.stat(out + '/sparse').st_blocks * 512, 1 << 20)
        with open(out + '/sparse', 'rb') as file:
            for i in range(10):
                file.seek(i << 30)
                self.assertEqual(file.read(1000), b'%d' % i * 1000)

    def test_empty(self):
        source = self.path('source')
        os.mkdir(source)
        self.backup([source])
        self.assertEqual(os.listdir(self.extract() + source), [])


class Selection(backups.Case):
    """What is taken, and what is left out."""

    def make(self, names):
        for name in names:
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            trees.write(path, name.encode())

    def files(self):
        below = self.folder[1:] + '/'
        return [name.removeprefix(below) for name in self.members() if not name.endswith('/')]

    def test_several_sources_in_one_another(self):
        self.make(['a/b/1', 'a/b/c/2', 'a/d/3', 'e/4', 'f/5', 'a.x/6'])
        names = ['f', 'a/b', 'a/b/c', 'a.x/6', 'f//']
        self.backup([self.path(name) for name in names])
        self.assertEqual(self.files(), ['a/b/1', 'a/b/c/2', 'a.x/6', 'f/5'])

    def test_parents_are_recorded(self):
        self.root_only()
        self.make(['p/q/r/1'])
        os.chmod(self.path('p'), 0o711)
        os.chown(self.path('p/q'), 4321, 1234)
        os.utime(self.path('p/q'), ns=(1, 1_500_000_000_111_222_333))
        self.backup([self.path('p/q/r')])
        out = self.extract() + self.folder
        self.assertEqual(os.stat(out + '/p').st_mode & 0o7777, 0o711)
        self.assertEqual(os.stat(out + '/p/q').st_uid, 4321)
        self.assertEqual(os.stat(out + '/p/q').st_mtime_ns, 1_500_000_000_111_222_333)

    def test_excludes(self):
        self.make(['s/keep.c', 's/x.o', 's/build/y', 's/sub/build/z', 's/sub/a.log', 's/sub/keep.log',
                   's/top', 's/sub/top', 's/v/w/deep/x', 's/cache/1', 's/cache/inner/2'])
        options = []
        for pattern in ('*.o', 'build/', '*.log', '!keep.log', '/top', 'v/**/x', self.path('s/cache')):
            options += ['--exclude', pattern]
        self.backup([self.path('s'), self.path('s/cache/inner')], options=options)
        self.assertEqual(self.files(), ['s/cache/inner/2', 's/keep.c', 's/sub/keep.log', 's/sub/top'])

    def test_one_file_system(self):
        self.make(['s/1'])
        mount = self.mount_tmpfs('s/mounted')
        trees.write(mount + '/2')
        self.backup([self.path('s')], options=['--one-file-system'])
        self.assertEqual(self.files(), ['s/1'])
        self.assertIn(mount[1:] + '/', self.members())
        self.backup([self.path('s')], key='all/')
        self.assertIn(mount[1:] + '/2', self.members(key='all'))
        # Named itself, it belongs to the backup.
        self.backup([self.path('s'), mount], key='both/', options=['--one-file-system'])
        self.assertIn(mount[1:] + '/2', self.members(key='both'))

    def test_links_are_followed_where_asked(self):
        self.make(['real/1', 's/2'])
        os.symlink(self.path('real'), self.path('s/dir'))
        os.symlink('2', self.path('s/file'))
        os.symlink('/nowhere', self.path('s/dangling'))
        os.symlink('..', self.path('s/up'))
        os.symlink('self', self.path('s/self'))
        result = self.backup([self.path('s')], options=['--follow-symlinks'])
        self.assertEqual(self.codes(result), {self.path('s/up'): 'LOOP'})
        self.assertEqual(self.files(), ['s/2', 's/dangling', 's/dir/1', 's/file', 's/self'])
        out = self.extract() + self.folder
        self.assertFalse(os.path.islink(out + '/s/file'))
        self.assertTrue(os.path.islink(out + '/s/dangling'))

    def test_a_source_may_be_a_link(self):
        self.make(['real/1'])
        os.symlink('real', self.path('link'))
        self.backup([self.path('link')])
        self.assertEqual(self.files(), ['link/1'])

    def test_own_targets_are_left_out(self):
        self.make(['s/1', 's/disk/earlier'])
        disk = self.path('s/disk')
        for key in ('one', 'two'):
            result = self.backup([self.path('s')], targets=[disk], key=f'{key}/')
            self.assertIn('a target of this backup', result['log'])
            names = self.members(disk, key)
            self.assertIn(disk[1:] + '/', names)
            self.assertIn(self.path('s/1')[1:], names)
            self.assertEqual([name for name in names if name.startswith(disk[1:] + '/')], [disk[1:] + '/'])

    def test_kernel_file_systems_are_left_out(self):
        self.root_only()
        self.make(['s/1'])
        where = self.path('s/proc')
        os.mkdir(where)
        if subprocess.run(['mount', '-t', 'proc', 'proc', where], check=False).returncode != 0:
            self.skipTest('cannot mount here')
        self.mounts.append(where)
        result = self.backup([self.path('s')])
        self.assertEqual(self.files(), ['s/1'])
        self.assertIn('kernel', result['log'])

    def test_the_order_does_not_depend_on_the_directory(self):
        self.make([f's/{i * 7919 % 1000}/{j}' for i in range(30) for j in range(30)])
        self.backup([self.path('s')])
        # By names, not by paths: '-' would sort before '/'.
        names = [name.rstrip('/').split('/') for name in self.members()]
        self.assertEqual(names, sorted(names))


class Volumes(backups.Case):
    """Archives that are larger than an object may be."""
    MAX = 3 << 20

    def make_source(self):
        source = self.path('source')
        os.mkdir(source)
        trees.make_small(source)
        trees.write(source + '/large', random.Random(1).randbytes(7 << 20))
        return source

    def check_volumes(self, store, name):
        """What the manifest says of the volumes of an object, and what there is."""
        data = self.manifest(store)['data']
        joined = b''
        for number, volume in enumerate(data['volumes']):
            self.assertEqual(volume['name'], name + (f'.{number:03}' if number else ''))
            with open(os.path.join(store, 'run', volume['name']), 'rb') as file:
                content = file.read()
            self.assertEqual(len(content), volume['size'])
            self.assertEqual(hashlib.sha256(content).hexdigest(), volume['sha256'])
            joined += content
        self.assertEqual([v['size'] for v in data['volumes'][:-1]], [self.MAX] * 3)
        self.assertEqual((data['size'], data['sha256']), (len(joined), hashlib.sha256(joined).hexdigest()))

    def test_stock_tools_join_them(self):
        source, other = self.make_source(), self.path('other')
        os.mkdir(other)
        result = self.backup([source], targets=[self.store, other], options=['--volume-max', '3'])
        self.assertEqual([o['volumes'] for o in result['objects']], [4, 1, 1])
        for store in (self.store, other):
            self.assertEqual(self.manifest(store)['version'], 2)
            self.assertNotIn('volumes', self.manifest(store)['entries'])
            self.check_volumes(store, 'data.tar.zst')
            self.assertEqual(self.objects(store), ['run/data.tar.zst', 'run/data.tar.zst.001', 'run/data.tar.zst.002',
                                                   'run/data.tar.zst.003', 'run/entries.zst', 'run/manifest.json.zst'])
            self.assert_same(source, self.extract(store) + source)

    def test_encrypted(self):
        """One age file, cut."""
        source, identity = self.make_source(), self.path('identity')
        subprocess.run(['age-keygen', '-o', identity], check=True, capture_output=True)
        with open(identity, encoding='utf-8') as file:
            recipient = re.search('age1[0-9a-z]+', file.read()).group()
        self.backup([source], options=['--recipient', recipient, '--volume-max', '3'])
        self.assertIn('run/data.tar.zst.age.003', self.objects())
        self.assert_same(source, self.extract(identity=identity) + source)

    def test_what_fits_is_as_ever(self):
        source = self.path('source')
        os.mkdir(source)
        trees.make_small(source)
        self.backup([source], options=['--volume-max', '8'])
        self.assertEqual(self.manifest()['version'], 1)
        self.assertNotIn('volumes', self.manifest()['data'])
        self.assertEqual(self.objects(), ['run/data.tar.zst', 'run/entries.zst', 'run/manifest.json.zst'])

    def test_failed_target_keeps_none(self):
        """One whose third volume cannot be there, and one where that is so of the manifest."""
        source = self.make_source()
        for taken in ('data.tar.zst.002', 'manifest.json.zst'):
            other = self.path(taken)
            os.makedirs(other + '/run')
            trees.write(f'{other}/run/{taken}', b'taken')
            result = self.backup([source], targets=[other, self.path('store-' + taken)], state='partial',
                                 options=['--volume-max', '3'])
            self.assertEqual([t['code'] for t in result['targets']], ['OBJECT_EXISTS', ''])
            self.assertEqual(self.objects(other), ['run/' + taken])
            self.assert_same(source, self.extract(self.path('store-' + taken)) + source)


class Streams(backups.Case):
    """What was never a file of this host."""

    def backup_stream(self, data, *, state='succeeded'):
        """Stores the bytes as /db/shop.sql, whose size nobody knows before its end."""
        command = self.command(['/db'], options=['--stream', 'db/shop.sql'])
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        result = json.loads(done.stdout)
        self.assertEqual(result['state'], state, result)
        return result

    def test_parts_are_the_stream_for_stock_tools(self):
        data = random.Random(1).randbytes(19 << 20)
        result = self.backup_stream(data)
        self.assertEqual((result['files'], result['bytes_read']), (1, len(data)))
        script = f"set -o pipefail; zstd -qdc '{self.store}/run/data.tar.zst' | tar -xOf - db/shop.sql"
        done = subprocess.run(['bash', '-c', script], check=True, capture_output=True)
        self.assertEqual(done.stdout, data)
        self.assertEqual(self.members()[:3], ['db/', 'db/shop.sql/', 'db/shop.sql/0000000000'])
        self.assertEqual(self.manifest()['sources'], ['/db'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
