#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What backups into repositories take from their sources: all kinds of objects, what is left out, and files that
change or fail while they are read. The cases are those of archives, in tests/storage."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import unittest

import repositories

sys.path[:0] = [str(repositories.ROOT / 'tests' / 'storage'), str(repositories.ROOT / 'tests' / 'tools')]
# pylint: disable=wrong-import-position
import backups
import treecmp
import trees
from test_faults import DeadMount, have_strace

TOOLS = repositories.BUILD / 'tests' / 'repository'
MIB = 1 << 20
SIZE = 4 * MIB
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))


class Case(backups.Case):
    """A source and a repository."""

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)
        self.options = ['--init']
        self.environment = {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD, 'RESTIC_REPOSITORY': self.store,
                            'RESTIC_CACHE_DIR': self.path('cache')}

    def run_backup(self, *sources, state='succeeded', codes=None, options=(), prefix=(), tool=TOOLS / 'backup-tool'):
        """One backup: its state, and what it names."""
        command = [*prefix, tool, '--repository', self.store, *self.options, *options, *(sources or [self.source])]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        log = done.stderr.decode(errors='replace')
        self.options = []
        self.assertIn(done.returncode, backups.STATES.values(), log)
        result = json.loads(done.stdout)
        self.assertEqual(result['state'], state, log)
        self.assertEqual(self.codes(result), codes or {}, log)
        for path in codes or {}:
            self.assertIn(path, log)
        return result

    def read(self, *words):
        """Our reading side."""
        return repositories.run(TOOLS / 'read-tool', self.store, repositories.PASSWORD, *words)

    def restored(self):
        """By us; the source in it."""
        out = self.path(f'ours-{len(os.listdir(self.folder))}')
        self.read('restore', 'latest', out, 'fail')
        self.read('check', '1', '1')
        return out + self.source

    def restored_by_restic(self):
        """By stock restic, which finds nothing wrong."""
        out = self.path(f'stock-{len(os.listdir(self.folder))}')
        repositories.run('restic', 'check', '--read-data', env=self.environment)
        repositories.run('restic', 'restore', 'latest', '--target', out, env=self.environment)
        return out + self.source

    def differences(self, restored):
        """Between the source and it, but for holes."""
        return [line for line in treecmp.differences(self.source, restored) if ': data at is' not in line]

    def names(self, below):
        """Paths in the snapshot, below a folder."""
        paths = self.read('ls', 'latest').decode().split('\0')[:-1]
        return sorted(path[len(below) + 1:] for path in paths if path.startswith(below + '/'))

    def make(self, names):
        """Files with their names in them."""
        for name in names:
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            trees.write(path, name.encode())


class Content(Case):
    """Everything that a file system can hold."""

    def test_everything(self):
        """Restored by us and by stock restic; nothing of it is read again."""
        self.root_only()
        trees.make_small(self.source)
        trees.make_privileged(self.source)
        trees.make_odd(self.source)
        trees.make_deep(self.source, 3000)
        trees.make_socket(self.source + '/socket')
        os.mkdir(self.source + '/many')
        for i in range(100_000 if backups.LONG else 1000):
            trees.write(f'{self.source}/many/{i:05d}', b'%d\n' % i)
        result = self.run_backup(options=['--time-ahead', '100'])
        self.assertEqual(result['skipped'], 1)
        self.assertEqual(self.differences(self.restored()), [])
        # It makes one of several names of the same thing only where that is a file.
        self.assertEqual([line for line in self.differences(self.restored_by_restic())
                          if not line.startswith('not hard links any more: (b\'/odd/kinds/')], [])
        again = self.run_backup(options=['--time-ahead', '200'])
        self.assertEqual((again['bytes_read'], again['files_unchanged']), (0, result['files_new']))
        self.assertEqual(self.differences(self.restored()), [])

    def test_what_stock_restic_cannot_hold(self):
        """A link whose target is not UTF-8 is kept beside; an attribute with such a name is not, and is told."""
        self.root_only()
        os.symlink(b'caf\xe9', os.fsencode(self.source) + b'/link')
        trees.write(self.source + '/file', b'x')
        os.setxattr(self.source + '/file', b'user.caf\xe9', b'lost')
        os.setxattr(self.source + '/file', b'user.kept', b'kept')
        path = self.source + '/file'
        for ahead in '100', '200':  # told each time
            self.run_backup(state='partial', codes={path: 'METADATA'}, options=['--time-ahead', ahead])
        out = self.restored()
        self.assertEqual(os.readlink(os.fsencode(out) + b'/link'), b'caf\xe9')
        self.assertEqual(os.listxattr(out + '/file'), ['user.kept'])
        self.assertEqual(os.readlink(self.restored_by_restic() + '/link'), 'caf\ufffd')

    def test_paths_beyond_path_max(self):
        """Longer than a system call takes."""
        trees.make_deep(self.source, 9000)
        self.run_backup()
        self.assertEqual(self.differences(self.restored()), [])

    def test_deep_trees_need_few_descriptors(self):
        here = os.open(self.source, os.O_RDONLY)
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
        result = self.run_backup(prefix=['prlimit', '--nofile=200'])
        self.assertEqual(result['directories'], 1500 + 15 + 1 + self.source.count('/') - 1)
        self.assertEqual(self.differences(self.restored()), [])

    def test_empty(self):
        """A source with nothing in it."""
        self.run_backup()
        self.assertEqual(os.listdir(self.restored()), [])


class Selection(Case):
    """What is taken, and what is left out."""

    def test_several_sources_in_one_another(self):
        self.make(['a/b/1', 'a/b/c/2', 'a/d/3', 'e/4', 'f/5', 'a.x/6'])
        self.run_backup(*(self.path(name) for name in ['f', 'a/b', 'a/b/c', 'a.x/6', 'f//']))
        self.assertEqual(self.names(self.folder),
                         ['a', 'a.x', 'a.x/6', 'a/b', 'a/b/1', 'a/b/c', 'a/b/c/2', 'f', 'f/5'])

    def test_parents_are_recorded(self):
        self.root_only()
        self.make(['p/q/r/1'])
        os.chmod(self.path('p'), 0o711)
        os.chown(self.path('p/q'), 4321, 1234)
        os.utime(self.path('p/q'), ns=(1, 1_500_000_000_111_222_333))
        self.source = self.path('p/q/r')
        self.run_backup()
        for out in self.restored(), self.restored_by_restic():
            parent = pathlib.Path(out).parent
            self.assertEqual(parent.parent.stat().st_mode & 0o7777, 0o711)
            self.assertEqual((parent.stat().st_uid, parent.stat().st_gid), (4321, 1234))
            self.assertEqual(parent.stat().st_mtime_ns, 1_500_000_000_111_222_333)

    def test_excludes(self):
        self.make(['s/keep.c', 's/x.o', 's/build/y', 's/sub/a.log', 's/sub/keep.log', 's/top', 's/sub/top',
                   's/v/w/deep/x', 's/cache/1', 's/cache/inner/2'])
        options = []
        for pattern in ('*.o', 'build/', '*.log', '!keep.log', '/top', 'v/**/x', self.path('s/cache')):
            options += ['--exclude', pattern]
        self.run_backup(self.path('s'), self.path('s/cache/inner'), options=options)
        self.assertEqual(self.names(self.path('s')), [
            'cache', 'cache/inner', 'cache/inner/2', 'keep.c', 'sub', 'sub/keep.log', 'sub/top', 'v', 'v/w',
            'v/w/deep'])

    def test_one_file_system(self):
        self.make(['source/1'])
        trees.write(self.mount_tmpfs('source/mounted') + '/2')
        self.run_backup(options=['--one-file-system'])
        self.assertEqual(self.names(self.source), ['1', 'mounted'])
        self.run_backup()
        self.assertEqual(self.names(self.source), ['1', 'mounted', 'mounted/2'])
        # Named itself, it belongs to the backup.
        self.run_backup(self.source, self.source + '/mounted', options=['--one-file-system'])
        self.assertEqual(self.names(self.source), ['1', 'mounted', 'mounted/2'])

    def test_links_are_followed_where_asked(self):
        self.make(['real/1', 'source/2'])
        for name, target in (('dir', self.path('real')), ('file', '2'), ('dangling', '/nowhere'), ('up', '..'),
                             ('self', 'self')):
            os.symlink(target, f'{self.source}/{name}')
        os.symlink(self.source, self.path('link'))
        self.run_backup(options=['--follow-symlinks'], codes={self.source + '/up': 'LOOP'})
        self.assertEqual(self.names(self.source), ['2', 'dangling', 'dir', 'dir/1', 'file', 'self'])
        out = self.restored()
        self.assertFalse(os.path.islink(out + '/file'))
        self.assertTrue(os.path.islink(out + '/dangling'))
        # The source itself may be one without being asked.
        self.run_backup(self.path('link'))
        self.assertIn('2', self.names(self.path('link')))

    def test_own_repository_and_kernel_file_systems_are_left_out(self):
        self.root_only()
        self.make(['1', 'proc/x'])
        self.mounts.append(self.path('proc'))
        if subprocess.run(['mount', '-t', 'proc', 'proc', self.path('proc')], check=False).returncode != 0:
            self.skipTest('cannot mount here')
        for _ in range(2):
            self.run_backup(self.folder)
            self.assertEqual([n for n in self.names(self.folder) if not n.startswith('cache')],
                             ['1', 'proc', 'source', 'store'])


class Targets(Case):
    """A repository of which a part does not answer any more, as on a mount whose server is gone: the run ends, says
    so, and leaves the other one whole."""

    def setUp(self):
        super().setUp()
        self.root_only()
        self.other = self.path('other')
        self.hangs = False
        os.mkdir(self.other)
        self.make(['source/first'])

    def storage(self, folder, patience):
        """Given up when a call takes so many seconds."""
        file = self.path(f'{os.path.basename(folder)}.json')
        pathlib.Path(file).write_text(json.dumps({'type': 'local', 'config': {'path': folder},
                                                  'patience_ms': patience * 1000}), encoding='utf-8')
        return f'@{file}'

    def back_up(self, *folders):
        """Its end. Only what hangs is given up soon."""
        words = [word for folder in folders
                 for word in ('--repository', self.storage(folder, 3 if self.hangs and folder == self.other else 60))]
        done = subprocess.run([TOOLS / 'backup-tool', *words, *self.options, '--source-stall', '1000', self.source],
                              env=self.environment, capture_output=True, check=False, timeout=120)
        self.options = []
        return done.returncode, json.loads(done.stdout or 'null'), done.stderr.decode(errors='replace')

    def check_hanging(self, part):
        """Of one repository of two."""
        self.assertEqual(self.back_up(self.store, self.other)[0], 0)
        mounted = os.path.join(self.other, part)
        self.make(['source/second'])
        DeadMount(self, mounted)
        self.hangs = True
        status, result, log = self.back_up(self.store, self.other)
        self.assertEqual(status, backups.STATES['partial'], log)
        self.assertEqual([target['code'] for target in result['targets']], ['', 'STORAGE_STALLED'], log)
        self.assertIn(f"'{self.other}'", result['targets'][1]['error'])
        self.assertEqual(self.differences(self.restored()), [])

    @unittest.skipUnless(LONG, 'long')
    def test_locks(self):
        self.check_hanging('locks')

    def test_packs(self):
        """The next time it is the only one."""
        self.check_hanging('data')
        status, result, log = self.back_up(self.other)
        self.assertEqual((status, result['code']), (backups.STATES['failed'], 'STORAGE_STALLED'), log)
        self.restored_by_restic()

    @unittest.skipUnless(LONG, 'long')
    def test_snapshots(self):
        self.check_hanging('snapshots')

    @unittest.skipUnless(LONG, 'long')
    def test_all(self):
        """Not even opened; then the tool goes no further."""
        self.assertEqual(self.back_up(self.other)[0], 0)
        DeadMount(self, self.other)
        self.hangs = True
        self.assertRegex(self.back_up(self.other)[2], 'did not answer for 3 s')


class Changing(Case):
    """The snapshot is whole, and the result names what is missing from it."""

    def setUp(self):
        super().setUp()
        trees.write(self.source + '/a', b'before\n')
        trees.write(self.source + '/z', b'after\n')
        self.log = self.source + '/log'
        trees.write(self.log, b'x' * SIZE)

    def run_while_read(self, change, **more):
        """What change does while the backup stands still in the middle of the log."""
        held = backups.Hold(self.log, self.folder)
        failed = []

        def meanwhile():
            try:
                held.wait()
                change()
            except Exception as error:  # pylint: disable=broad-except
                failed.append(error)
            held.let_go()

        thread = threading.Thread(target=meanwhile)
        thread.start()
        try:
            return self.run_backup(prefix=held.prefix, options=['--time-ahead', '100'], **more)
        finally:
            thread.join()
            self.assertEqual(failed, [])

    def check_others(self, stock=False):
        """Everything else is there."""
        out = self.restored_by_restic() if stock else self.restored()
        self.assertEqual(pathlib.Path(out, 'a').read_bytes(), b'before\n')
        self.assertEqual(pathlib.Path(out, 'z').read_bytes(), b'after\n')
        return out

    def check_next(self):
        """The next run takes up what this one lost."""
        self.run_backup(options=['--time-ahead', '200'])
        self.assertEqual(self.differences(self.restored()), [])

    def test_shrinks(self):
        self.run_while_read(lambda: os.truncate(self.log, 100), state='partial', codes={self.log: 'SHRANK'})
        for stock in True, False:
            data = pathlib.Path(self.check_others(stock), 'log').read_bytes()
            self.assertEqual(len(data), SIZE)
            self.assertEqual(data.rstrip(b'\0'), b'x' * len(data.rstrip(b'\0')))
        self.check_next()

    def test_grows(self):
        def grow():
            with open(self.log, 'ab') as file:
                file.write(b'y' * MIB)
        self.run_while_read(grow, codes={self.log: 'GREW'})
        self.assertEqual(pathlib.Path(self.check_others(), 'log').read_bytes(), b'x' * SIZE)
        self.check_next()

    def test_changes(self):
        def change():
            with open(self.log, 'r+b') as file:
                file.write(b'y')
        self.run_while_read(change, codes={self.log: 'CHANGED'})
        self.check_others()
        self.check_next()

    def test_vanishes(self):
        os.mkdir(self.source + '/dir')
        for name in ('m', 'n', 'dir/x'):
            trees.write(f'{self.source}/{name}')

        def remove():
            os.unlink(self.log)  # whoever has it open reads it to its end
            os.unlink(self.source + '/m')
            os.unlink(self.source + '/dir/x')
            os.rmdir(self.source + '/dir')
        # Sorted by name 'dir' comes before 'log': it is stored already.
        self.run_while_read(remove, codes={self.source + '/m': 'VANISHED'})
        out = self.check_others()
        self.assertEqual(pathlib.Path(out, 'log').read_bytes(), b'x' * SIZE)
        self.assertEqual(sorted(os.listdir(out)), ['a', 'dir', 'log', 'n', 'z'])

    def test_becomes_another_thing(self):
        """What is read already stays what it was; the rest is missing, told, and there in the next run."""
        names = ['m-file', 'n-file', 'o-file', 'p-directory']
        os.mkdir(self.source + '/p-directory')
        for name in ('m-file', 'n-file', 'o-file', 'p-directory/inside'):
            trees.write(f'{self.source}/{name}', b'content')

        def change():
            for name in ('log', 'm-file', 'n-file', 'o-file', 'p-directory/inside'):
                os.unlink(f'{self.source}/{name}')
            os.rmdir(self.source + '/p-directory')
            os.mkdir(self.log)
            os.mkdir(self.source + '/m-file')
            trees.write(self.source + '/m-file/inside', b'inside')
            os.symlink('a', self.source + '/n-file')
            os.mkfifo(self.source + '/o-file')
            trees.write(self.source + '/p-directory', b'a file now')
        codes = {f'{self.source}/{name}': 'UNREADABLE' for name in names}
        result = self.run_while_read(change, state='partial', codes=codes)
        self.assertEqual({e['message'] for e in result['errors']},
                         {'Was replaced by something else while it was opened.'})
        for stock in True, False:
            out = self.check_others(stock)
            self.assertEqual(pathlib.Path(out, 'log').read_bytes(), b'x' * SIZE)
            self.assertEqual(sorted(os.listdir(out)), ['a', 'log', 'z'])
        self.check_next()

    def test_unreadable(self):
        self.root_only()
        secret, locked = self.source + '/secret', self.source + '/locked'
        trees.write(secret, b'x', 0)
        os.mkdir(locked, 0o700)
        trees.write(locked + '/x')
        os.chmod(self.folder, 0o755)
        os.chmod(self.store, 0o777)
        # The build may lie where nobody else comes to.
        tool = self.path('tool')
        repositories.run('cp', TOOLS / 'backup-tool', tool)
        self.run_backup(state='partial', codes={secret: 'UNREADABLE', locked: 'UNREADABLE'}, tool=tool,
                        prefix=['setpriv', '--reuid=65534', '--clear-groups'], options=['--time-ahead', '100'])
        out = self.check_others(stock=True)
        self.assertEqual(os.listdir(out + '/locked'), [])
        self.assertFalse(os.path.exists(out + '/secret'))
        self.check_next()

    def test_a_directory_that_cannot_be_read(self):
        if not have_strace():
            self.skipTest('needs strace')
        path = self.source + '/dir'
        os.mkdir(path)
        trees.write(path + '/x')
        self.run_backup(options=['--time-ahead', '100'], state='partial', codes={path: 'UNREADABLE'}, prefix=[
            'strace', '-f', '-qq', '-o', '/dev/null', '-P', path, '-e', 'trace=getdents64', '-e',
            'inject=getdents64:error=EIO'])
        self.check_others()
        self.check_next()

    def test_mount_points_that_are_dead_or_hang(self):
        gone, hangs = self.source + '/gone', self.source + '/hangs'
        DeadMount(self, gone, gone=True)
        DeadMount(self, hangs)
        self.run_backup(state='partial', codes={gone: 'UNREADABLE', hangs: 'STALLED'},
                        options=['--source-stall', '1000'])
        self.check_others()


if __name__ == '__main__':
    unittest.main(verbosity=2)
