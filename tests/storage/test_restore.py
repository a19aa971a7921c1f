#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backup and restore of files through lib/archive: everything comes back, chosen paths alone, conflicts, in
place, from another copy, as another user, and nothing from an archive that was touched."""

import os
import pathlib
import shutil
import stat
import subprocess
import unittest

from archives import RESTORE_TOOL, ArchiveTest, run_tool
import trees

ROOT = os.geteuid() == 0
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))


def write(path, data=b'content\n'):
    """Writes a file and the directories on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def snapshot(folder):
    """Everything below a folder, to see whether anything was touched."""
    found = {}
    for here, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(here, name)
            st = os.lstat(path)
            found[path] = (st.st_mode, st.st_ino, st.st_mtime_ns, st.st_size)
    return found


class Everything(ArchiveTest):
    """The whole tree, with all that a file system can hold."""

    def make_tree(self):
        trees.make_small(self.source)
        trees.make_deep(self.source, 3000)
        if ROOT:
            trees.make_privileged(self.source)
        for name in (b'tab\t', b'-', b'--', b' ', b'\\', b'"', b"'", b'%s', b'\x01', b'\xff\xfe',
                     b'x' * 255):
            trees.write(os.fsencode(self.source) + b'/' + name, name)

    def test_plain(self):
        self.make_tree()
        self.backup()
        result, _ = self.restore()
        self.assertEqual(result['state'], 'succeeded')
        self.assertEqual(result['errors_total'], 0)
        self.assert_same()

    def test_encrypted(self):
        self.make_tree()
        keys = subprocess.run(['age-keygen'], check=True, capture_output=True, text=True).stdout.split()
        identity = [word for word in keys if word.startswith('AGE-SECRET-KEY-')][0]
        recipient = [word for word in keys if word.startswith('age1')][0]
        self.backup(options=['--recipient', recipient])
        self.options = ['--identity', identity]
        self.restore()
        self.assert_same()

    def test_twice_with_overwrite(self):
        self.make_tree()
        self.backup()
        self.restore()
        result, _ = self.restore(options=['--conflict', 'overwrite'])
        self.assertEqual(result['errors_total'], 0)
        self.assert_same()

    def test_several_sources(self):
        for name in ('b', 'a/x', 'a/y', 'c'):
            write(self.source / name / 'file', name.encode())
        os.chmod(self.source / 'a', 0o711)
        os.utime(self.source / 'a', ns=(1, 1_500_000_000_000_000_001))
        self.backup(self.source / 'c', self.source / 'a' / 'y', self.source / 'a' / 'x',
                    self.source / 'b' / 'file')
        self.restore()
        self.assert_same(self.source / 'a', self.restored(self.source / 'a'))
        self.assert_same(self.source / 'c', self.restored(self.source / 'c'))
        self.assertEqual((self.restored(self.source / 'b') / 'file').read_bytes(), b'b')

    def test_deep_tree_of_short_names(self):
        """1,500 levels: more than descriptors that may be open."""
        here = os.open(self.source, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir(b'd', dir_fd=here)
            below = os.open(b'd', os.O_RDONLY, dir_fd=here)
            os.utime(b'd', ns=(1, 1_400_000_000_123_456_789), dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        self.backup()
        self.restore()
        self.assert_same()

    @unittest.skipUnless(ROOT, 'needs root')
    def test_inherited_acls_do_not_stay(self):
        """The destination gives an ACL to what is made in it; what is restored has only its own."""
        self.make_tree()
        self.backup()
        self.destination.mkdir()
        subprocess.run(['setfacl', '-d', '-m', 'u:54321:rwx', self.destination], check=True)
        self.restore()
        self.assert_same()

    def test_many_hard_links(self):
        for i in range(200):
            write(self.source / f'd{i % 7}' / f'first{i}', str(i).encode())
            os.makedirs(self.source / f'e{i % 5}', exist_ok=True)
            os.link(self.source / f'd{i % 7}' / f'first{i}', self.source / f'e{i % 5}' / f'second{i}')
        os.symlink('nowhere', self.source / 'link')
        os.link(self.source / 'link', self.source / 'link2', follow_symlinks=False)
        os.mkfifo(self.source / 'pipe')
        os.link(self.source / 'pipe', self.source / 'pipe2')
        self.backup()
        self.restore()
        self.assert_same()

    def test_large_and_sparse(self):
        write(self.source / 'large', os.urandom(1 << 20) * 20)
        with open(self.source / 'sparse', 'wb') as file:
            file.truncate(1 << 40)
            for at in (0, 1 << 20, 1 << 33, (1 << 40) - 4096):
                file.seek(at)
                file.write(b'data' * 1024)
        with open(self.source / 'only-a-hole', 'wb') as file:
            file.truncate(123_456_789)
        self.backup()
        self.restore()
        import treecmp
        one = os.open(self.source / 'sparse', os.O_RDONLY)
        other = os.open(self.restored() / 'sparse', os.O_RDONLY)
        found = treecmp.extents(one, 1 << 40)
        self.assertEqual(found, treecmp.extents(other, 1 << 40))
        for start, end in found:
            self.assertEqual(os.pread(one, end - start, start), os.pread(other, end - start, start))
        os.close(one)
        os.close(other)
        for name in ('sparse', 'only-a-hole'):
            self.assertEqual((self.source / name).stat().st_blocks,
                             (self.restored() / name).stat().st_blocks)
            (self.source / name).unlink()
            (self.restored() / name).unlink()
        self.assert_same(directory_times=False)

    def test_stock_tar_gives_the_same(self):
        self.make_tree()
        self.backup()
        self.restore()
        other = self.folder / 'tar'
        other.mkdir()
        command = (f"zstd -dc {self.target}/run/data.tar.zst | "
                   "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -xpf - "
                   f"-C {other}")
        subprocess.run(command, shell=True, check=True, stderr=subprocess.DEVNULL)
        self.assert_same(self.restored(), other / os.fspath(self.source)[1:])

    def test_memory_with_many_files(self):
        """Bounded, whatever the number of files."""
        count = 1_000_000 if LONG else 30_000
        for i in range(count):
            if i % 1000 == 0:
                folder = self.source / f'd{i // 1000}'
                folder.mkdir()
            os.close(os.open(folder / f'file-with-a-name-{i}', os.O_CREAT | os.O_WRONLY))
        self.backup()
        result, _ = self.restore()
        self.assertEqual(result['files'], count)
        self.assertLess(result['peak_kib'], 96 << 10)


class Chosen(ArchiveTest):
    """Chosen paths alone."""

    def setUp(self):
        super().setUp()
        for name in ('a/1', 'a/2', 'a/b/3', 'a/b/c/4', 'a.txt', 'ab/5', 'z'):
            write(self.source / name, name.encode())
        os.link(self.source / 'a' / '1', self.source / 'z-link')
        os.link(self.source / 'a' / '1', self.source / 'z-link2')
        os.symlink('/etc/passwd', self.source / 'ab' / 'symlink')
        os.chmod(self.source / 'a', 0o700)
        os.utime(self.source / 'a' / 'b', ns=(1, 1_500_000_000_000_000_001))
        os.utime(self.source / 'a', ns=(1, 1_600_000_000_000_000_001))
        self.backup()

    def names(self):
        """What is in the destination, below the source."""
        root = self.restored()
        return sorted(os.fspath(p.relative_to(root)) for p in root.rglob('*'))

    def test_file(self):
        result, _ = self.restore(self.source / 'a' / 'b' / '3')
        self.assertEqual(self.names(), ['a', 'a/b', 'a/b/3'])
        self.assertEqual(result['files'], 1)
        # Directories that had to be made are as they were.
        for name in ('a', 'a/b'):
            self.assertEqual(stat.S_IMODE((self.restored() / name).stat().st_mode),
                             stat.S_IMODE((self.source / name).stat().st_mode))
            self.assertEqual((self.restored() / name).stat().st_mtime_ns,
                             (self.source / name).stat().st_mtime_ns)

    def test_directory(self):
        result, _ = self.restore(self.source / 'a')
        self.assertEqual(self.names(), ['a', 'a/1', 'a/2', 'a/b', 'a/b/3', 'a/b/c', 'a/b/c/4'])
        self.assertEqual((result['files'], result['directories']), (4, 3))
        self.assert_same(self.source / 'a', self.restored() / 'a')

    def test_several_and_within_each_other(self):
        self.restore(self.source / 'z', self.source / 'a' / 'b', self.source / 'a' / 'b' / 'c' / '4',
                     self.source / 'a' / 'b', f'{self.source}//ab/')
        self.assertEqual(self.names(), ['a', 'a/b', 'a/b/3', 'a/b/c', 'a/b/c/4', 'ab', 'ab/5', 'ab/symlink',
                                        'z'])
        self.assertEqual(os.readlink(self.restored() / 'ab' / 'symlink'), '/etc/passwd')

    def test_hard_links_without_the_first(self):
        self.restore(self.source / 'z-link', self.source / 'z-link2')
        self.assertEqual(self.names(), ['z-link', 'z-link2'])
        one, other = self.restored() / 'z-link', self.restored() / 'z-link2'
        self.assertEqual(one.read_bytes(), b'a/1')
        self.assertEqual(one.stat().st_ino, other.stat().st_ino)
        self.assertEqual(one.stat().st_nlink, 2)
        self.assertEqual(one.stat().st_mtime_ns, (self.source / 'z-link').stat().st_mtime_ns)

    def test_hard_link_with_the_first(self):
        self.restore(self.source / 'z-link', self.source / 'a' / '1')
        self.assertEqual((self.restored() / 'z-link').stat().st_ino,
                         (self.restored() / 'a' / '1').stat().st_ino)

    def test_directory_above_the_source(self):
        self.restore(self.source.parent)
        self.assert_same()

    def test_everything_by_the_root(self):
        self.restore('/')
        self.assert_same()

    def test_missing(self):
        result, _ = self.restore(self.source / 'z', self.source / 'nothing', status=4)
        self.assertEqual(result['code'], 'PATH_NOT_FOUND')
        self.assertIn('/nothing', result['message'])
        self.assertFalse(self.destination.exists())

    def test_strange_paths(self):
        for path in ('relative', '/../etc', f'{self.source}/./z', ''):
            result, _ = self.restore(path, status=4)
            self.assertEqual(result['code'], 'PATH_INVALID')
        self.assertFalse(self.destination.exists())

    def test_reads_only_what_is_needed(self):
        """One small file of a large archive is a small read."""
        for i in range(8):
            write(self.source / 'big' / str(i), os.urandom(4 << 20))
        write(self.source / 'big' / '3a', b'small')
        self.backup(options=['--key', 'large/'])
        trace = self.folder / 'trace'
        self.options = ['--key', 'large/']
        self.restore(self.source / 'big' / '3a',
                     run=['strace', '-f', '-e', 'trace=pread64,read', '-o',
                          trace] if shutil.which('strace') else None)
        self.assertEqual((self.restored() / 'big' / '3a').read_bytes(), b'small')
        if trace.exists():
            total = sum(int(line.rsplit('= ', 1)[1].split()[0]) for line in trace.read_text().splitlines()
                        if 'pread64(' in line and '= ' in line and line.rsplit('= ', 1)[1][0].isdigit())
            self.assertLess(total, 6 << 20)


class InPlace(ArchiveTest):
    """Back to where it came from."""

    def setUp(self):
        super().setUp()
        trees.make_small(self.source)
        self.copy = self.folder / 'copy'
        subprocess.run(['cp', '-a', self.source, self.copy], check=True)
        self.backup()

    def test_all_is_lost(self):
        shutil.rmtree(self.source)
        self.restore(in_place=True)
        self.assert_same(self.copy, self.source)

    def test_the_source_and_its_parents_are_lost(self):
        deep = self.folder / 'p' / 'q' / 'deep'
        shutil.copytree(self.copy, deep, symlinks=True, ignore=shutil.ignore_patterns('pipe'))
        os.chmod(self.folder / 'p' / 'q', 0o710)
        self.backup(deep, options=['--key', 'deep/'])
        self.options = ['--key', 'deep/']
        kept = self.folder / 'kept'
        subprocess.run(['cp', '-a', self.folder / 'p', kept], check=True)
        shutil.rmtree(self.folder / 'p')
        self.restore(in_place=True)
        self.assert_same(kept, self.folder / 'p')

    def test_one_file_is_lost(self):
        (self.source / 'documents' / 'letter.txt').unlink()
        (self.source / 'documents' / 'run.sh').write_text('changed since')
        self.restore(self.source / 'documents' / 'letter.txt', in_place=True)
        self.assertEqual((self.source / 'documents' / 'letter.txt').read_bytes(),
                         (self.copy / 'documents' / 'letter.txt').read_bytes())
        self.assertEqual((self.source / 'documents' / 'run.sh').read_text(), 'changed since')

    def test_overwrite(self):
        documents = self.source / 'documents'
        (documents / 'letter.txt').write_text('changed')
        (documents / 'run.sh').unlink()
        (documents / 'run.sh').symlink_to('/etc/passwd')
        (documents / 'empty').rmdir()
        (documents / 'empty').write_text('a file now')
        (documents / 'link').unlink()
        (documents / 'link').mkdir()
        os.chmod(documents, 0o777)
        passwd = pathlib.Path('/etc/passwd').stat()
        self.restore(in_place=True, options=['--conflict', 'overwrite'])
        self.assert_same(self.copy, self.source)
        self.assertEqual(pathlib.Path('/etc/passwd').stat().st_mtime_ns, passwd.st_mtime_ns)

    def test_the_source_is_behind_a_symlink(self):
        """The administrator's names are followed: /data may be a link to a mounted disk."""
        real, link = self.folder / 'real', self.folder / 'link'
        real.mkdir()
        link.symlink_to(real)
        write(link / 'data' / 'x')
        self.backup(link / 'data', options=['--key', 'link/'])
        self.options = ['--key', 'link/']
        (real / 'data' / 'x').unlink()
        self.restore(in_place=True)
        self.assertEqual((real / 'data' / 'x').read_bytes(), b'content\n')

    def test_a_file_as_source(self):
        name = self.source / 'documents' / 'letter.txt'
        self.backup(name, options=['--key', 'file/'])
        self.options = ['--key', 'file/']
        before = name.read_bytes()
        name.unlink()
        self.restore(in_place=True)
        self.assertEqual(name.read_bytes(), before)


class Conflicts(ArchiveTest):
    """What is in the way."""

    def setUp(self):
        super().setUp()
        for name in ('a/1', 'a/2', 'b/3', 'c'):
            write(self.source / name, name.encode())
        self.backup()
        self.in_way = self.restored() / 'a' / '2'

    def test_fail_touches_nothing(self):
        write(self.in_way, b'mine')
        before = snapshot(self.destination)
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'EXISTS')
        self.assertIn('a/2', result['message'])
        self.assertEqual(snapshot(self.destination), before)

    def test_fail_with_other_kinds(self):
        for make in (lambda p: p.symlink_to('/nowhere'), lambda p: p.mkdir(), os.mkfifo):
            self.in_way.parent.mkdir(parents=True, exist_ok=True)
            make(self.in_way)
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'EXISTS')
            shutil.rmtree(self.destination)

    def test_fail_with_a_symlink_for_a_directory(self):
        elsewhere = self.folder / 'elsewhere'
        elsewhere.mkdir()
        self.restored().mkdir(parents=True)
        (self.restored() / 'a').symlink_to(elsewhere)
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'EXISTS')
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_fail_into_empty_directories(self):
        (self.restored() / 'b').mkdir(parents=True)
        os.chmod(self.restored() / 'b', 0o1777)
        self.restore()
        self.assertEqual((self.restored() / 'b' / '3').read_bytes(), b'b/3')
        # What was there keeps what it was.
        self.assertEqual(stat.S_IMODE((self.restored() / 'b').stat().st_mode), 0o1777)

    def test_skip(self):
        write(self.in_way, b'mine')
        result, _ = self.restore(options=['--conflict', 'skip'])
        self.assertEqual(result['skipped'], 1)
        self.assertEqual(self.in_way.read_bytes(), b'mine')
        self.assertEqual((self.restored() / 'a' / '1').read_bytes(), b'a/1')
        self.assertEqual((self.restored() / 'c').read_bytes(), b'c')

    def test_skip_a_symlink_for_a_directory(self):
        elsewhere = self.folder / 'elsewhere'
        elsewhere.mkdir()
        self.restored().mkdir(parents=True)
        (self.restored() / 'a').symlink_to(elsewhere)
        result, _ = self.restore(options=['--conflict', 'skip'])
        self.assertEqual(result['skipped'], 3)
        self.assertEqual(list(elsewhere.iterdir()), [])
        self.assertEqual((self.restored() / 'b' / '3').read_bytes(), b'b/3')

    def test_overwrite_a_symlink_for_a_directory(self):
        elsewhere = self.folder / 'elsewhere'
        elsewhere.mkdir()
        self.restored().mkdir(parents=True)
        (self.restored() / 'a').symlink_to(elsewhere)
        self.restore(options=['--conflict', 'overwrite'])
        self.assertEqual(list(elsewhere.iterdir()), [])
        self.assertFalse((self.restored() / 'a').is_symlink())
        self.assert_same(self.source / 'a', self.restored() / 'a')

    def test_overwrite_spares_full_directories(self):
        write(self.in_way / 'inside', b'mine')
        result, _ = self.restore(options=['--conflict', 'overwrite'], status=3)
        self.assert_codes(result, 'EXISTS')
        self.assertEqual((self.in_way / 'inside').read_bytes(), b'mine')
        self.assertEqual((self.restored() / 'c').read_bytes(), b'c')

    def test_skip_hard_link_to_what_was_skipped(self):
        """A link joins what came from the archive, never what was there before."""
        os.link(self.source / 'a' / '1', self.source / 'd')
        self.backup(options=['--key', 'links/'])
        self.options = ['--key', 'links/', '--conflict', 'skip']
        write(self.restored() / 'a' / '1', b'mine')
        self.restore()
        self.assertEqual((self.restored() / 'a' / '1').read_bytes(), b'mine')
        self.assertEqual((self.restored() / 'd').read_bytes(), b'a/1')

    @unittest.skipUnless(ROOT, 'needs root')
    def test_immutable_and_mounted(self):
        write(self.in_way, b'mine')
        write(self.restored() / 'c', b'mounted')
        immutable = subprocess.run(['chattr', '+i', self.in_way], check=False,
                                   capture_output=True).returncode == 0
        mounted = subprocess.run(['mount', '--bind', self.source / 'c', self.restored() / 'c'], check=False,
                                 capture_output=True).returncode == 0
        try:
            if not immutable or not mounted:
                self.skipTest('chattr or mount is not possible here')
            result, _ = self.restore(options=['--conflict', 'overwrite'], status=3)
        finally:
            subprocess.run(['chattr', '-i', self.in_way], check=False, capture_output=True)
            subprocess.run(['umount', self.restored() / 'c'], check=False, capture_output=True)
        self.assert_codes(result, 'PERMISSION', 'BUSY')
        self.assertEqual((self.restored() / 'b' / '3').read_bytes(), b'b/3')
        self.assertEqual([p for p in self.destination.rglob('.backupx*')], [])


class Damage(ArchiveTest):
    """Storage is hostile."""

    def setUp(self):
        super().setUp()
        for i in range(6):
            write(self.source / f'f{i}', os.urandom(1 << 20))
        self.backup()
        self.other = self.folder / 'other'
        shutil.copytree(self.target, self.other)

    def change(self, name, target=None):
        """Changes a byte in the middle of an object."""
        path = (target or self.target) / 'run' / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def test_manifest_and_listing(self):
        for name in ('manifest.json.zst', 'entries.zst'):
            self.change(name)
            result, _ = self.restore(self.source / 'f1', status=4)
            self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
            self.assertIn(name, result['message'])
            self.assertFalse(self.destination.exists())
            shutil.copy(self.other / 'run' / name, self.target / 'run' / name)

    def test_another_manifest(self):
        self.manifest = '00' * 32
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
        self.assertFalse(self.destination.exists())

    def test_missing_and_cut(self):
        for name in ('manifest.json.zst', 'entries.zst', 'data.tar.zst'):
            path = self.target / 'run' / name
            path.unlink()
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_MISSING')
            self.assertIn(name, result['message'])
            path.write_bytes((self.other / 'run' / name).read_bytes()[:-1])
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
            path.write_bytes((self.other / 'run' / name).read_bytes() + b'x')
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
            self.assertFalse(self.destination.exists())
            shutil.copy(self.other / 'run' / name, path)

    def test_data(self):
        """Nothing is written of a frame that is not right, and no part of a file is left."""
        self.change('data.tar.zst')
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
        for path in self.restored().iterdir():
            self.assertEqual(path.read_bytes(), (self.source / path.name).read_bytes())

    def test_other_copy(self):
        self.change('data.tar.zst')
        result, log = self.restore(targets=[self.target, self.other])
        self.assertEqual(result['state'], 'succeeded')
        self.assertIn('taking the next one', log)
        self.assert_same()

    def test_other_copy_from_the_start(self):
        for name in ('manifest.json.zst', 'entries.zst'):
            self.change(name)
        (self.target / 'run' / 'data.tar.zst').unlink()
        self.restore(targets=[self.target, self.other])
        self.assert_same()

    def test_both_copies_are_damaged_at_other_places(self):
        """What is whole in any of them comes from there."""
        for target, at in ((self.target, 5), (self.other, 2)):
            path = target / 'run' / 'data.tar.zst'
            data = bytearray(path.read_bytes())
            data[len(data) * at // 6 + 1000] ^= 1
            path.write_bytes(data)
        self.change('entries.zst', self.other)
        self.restore(targets=[self.target, self.other])
        self.assert_same()

    def test_both_copies_are_damaged_at_the_same_place(self):
        self.change('data.tar.zst')
        self.change('data.tar.zst', self.other)
        result, _ = self.restore(targets=[self.target, self.other], status=4)
        self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')


class Volumes(ArchiveTest):
    """Archives of volumes, read by what wrote them."""

    def setUp(self):
        super().setUp()
        for i in range(7):
            write(self.source / f'f{i}', os.urandom(1 << 20))

    def cut(self, *options):
        """Data of four volumes."""
        self.backup(options=['--volume-max', '2', *options])
        self.assertEqual(len(list(self.target.rglob('data.tar.zst*'))), 4)

    def test_everything(self):
        self.cut()
        self.restore()
        self.assert_same()

    def test_one_file(self):
        """From the last volume, and over the end of one."""
        self.cut()
        self.restore(self.source / 'f6', self.source / 'f1', self.source / 'f3')
        self.assertEqual(sorted(path.name for path in self.restored().iterdir()), ['f1', 'f3', 'f6'])
        for path in self.restored().iterdir():
            self.assertEqual(path.read_bytes(), (self.source / path.name).read_bytes())

    def test_encrypted(self):
        keys = subprocess.run(['age-keygen'], check=True, capture_output=True, text=True).stdout.split()
        identity = [word for word in keys if word.startswith('AGE-SECRET-KEY-')][0]
        self.cut('--recipient', [word for word in keys if word.startswith('age1')][0])
        self.options = ['--identity', identity]
        self.restore()
        self.assert_same()

    def test_damage(self):
        """A volume that is gone, cut, changed: nothing of it is believed."""
        self.cut()
        for number in ('', '.001', '.003'):
            path = self.target / 'run' / ('data.tar.zst' + number)
            good = path.read_bytes()
            path.unlink()
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_MISSING')
            self.assertIn(path.name, result['message'])
            path.write_bytes(good[:-1])
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')
            self.assertIn(path.name, result['message'])
            self.assertFalse(self.destination.exists())
            path.write_bytes(good)
        path.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'ARCHIVE_DAMAGED')

    def test_other_copy(self):
        """What is damaged in one is taken from the other."""
        other = self.folder / 'other'
        self.cut()
        shutil.copytree(self.target, other)
        for target, number in ((self.target, '.001'), (other, '.003')):
            path = target / 'run' / ('data.tar.zst' + number)
            path.write_bytes(b'x' * path.stat().st_size)
        self.restore(targets=[self.target, other])
        self.assert_same()


class Limits(ArchiveTest):
    """Policy, space, cancelling, another user."""

    def test_policy(self):
        write(self.source / 'x')
        self.backup()
        result, log = self.restore(options=['--refuse', self.destination], status=4)
        self.assertEqual(result['code'], 'DESTINATION_REFUSED')
        self.assertIn(f'asked: {self.destination}', log)
        self.assertFalse(self.destination.exists())
        # A symlink does not help: what is asked for is where it leads.
        link = self.folder / 'link'
        link.symlink_to(self.folder)
        result, _ = self.restore(options=['--refuse', self.destination, '--destination',
                                          link / 'destination'], status=4)
        self.assertEqual(result['code'], 'DESTINATION_REFUSED')
        _, log = self.restore(self.source / 'x', in_place=True, options=['--conflict', 'skip'])
        self.assertIn(f'asked: {self.source}/x\n', log)

    @unittest.skipUnless(ROOT, 'needs root')
    def test_space(self):
        for i in range(6):
            write(self.source / f'f{i}', os.urandom(512 << 10))
        self.backup()
        self.destination.mkdir()
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'x', self.destination],
                          check=False).returncode:
            self.skipTest('mount is not possible here')
        try:
            result, _ = self.restore(status=4)
            self.assertEqual(result['code'], 'NO_SPACE')
            self.assertIn('1 MiB free' if '1 MiB' in result['message'] else '0 MiB free', result['message'])
            self.assertEqual(list(self.destination.iterdir()), [])
            # It cannot be known before, and is told when it happens.
            result, _ = self.restore(options=['--conflict', 'overwrite'], status=4)
            self.assertEqual(result['code'], 'NO_SPACE')
            left = [p for p in self.restored().iterdir()]
            self.assertEqual([p.name for p in left if p.name.startswith('.')], [])
            for path in left:
                self.assertEqual(path.read_bytes(), (self.source / path.name).read_bytes())
            subprocess.run(['mount', '-o', 'remount,ro', self.destination], check=True)
            result, _ = self.restore(options=['--conflict', 'skip'], status=4)
            self.assertEqual(result['code'], 'DESTINATION_UNUSABLE')
            self.assertIn('read-only', result['message'])
        finally:
            subprocess.run(['umount', self.destination], check=True)

    def test_destination_is_no_directory(self):
        write(self.source / 'x')
        self.backup()
        self.destination.write_text('a file')
        result, _ = self.restore(status=4)
        self.assertEqual(result['code'], 'DESTINATION_UNUSABLE')
        self.assertEqual(self.destination.read_text(), 'a file')

    def test_cancel(self):
        write(self.source / 'x', os.urandom(1 << 20) * 300)
        write(self.source / 'y')
        self.backup()
        result, _ = self.restore(options=['--cancel-after', '30'], status=5)
        self.assertEqual((result['state'], result['code']), ('cancelled', 'CANCELLED'))
        self.assertEqual([p.name for p in self.restored().iterdir()] if self.restored().exists() else [], [])

    @unittest.skipUnless(ROOT, 'needs root')
    def test_another_user(self):
        """Whoever may not give files away gets them under his own name, told of each, and no set-id bits."""
        trees.make_small(self.source)
        write(self.source / 'foreign')
        os.chown(self.source / 'foreign', 54321, 54322)
        write(self.source / 'read-only')
        os.setxattr(self.source / 'read-only', 'user.note', b'kept')
        for here, folders, names in os.walk(self.source):
            for name in folders + names:
                if name != 'foreign':
                    os.chown(os.path.join(here, name), 65534, 65534, follow_symlinks=False)
        os.chmod(self.source / 'documents' / 'set-uid', 0o6755)
        os.chmod(self.source / 'foreign', 0o6755)
        os.chmod(self.source / 'read-only', 0o444)
        os.chown(self.source, 65534, 65534)
        self.backup()
        os.chmod(self.folder, 0o755)
        self.destination.mkdir()
        os.chown(self.destination, 65534, 65534)
        subprocess.run(['chmod', '-R', 'a+rX', self.target], check=True)
        tool = self.folder / 'restore-tool'
        shutil.copy(RESTORE_TOOL, tool)
        code, result, log = run_tool('setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups',
                                     tool,
                                     '--target', self.target, '--manifest', self.manifest, '--destination',
                                     self.destination, self.source)
        self.assertEqual(code, 3, f'{result} {log}')
        owners = [e for e in result['errors'] if e['code'] == 'OWNER']
        self.assertIn(f'{self.source}/foreign', [e['path'] for e in owners])
        self.assertEqual({e['code'] for e in result['errors']}, {'OWNER'})
        self.assertEqual(stat.S_IMODE((self.restored() / 'foreign').stat().st_mode), 0o755)
        self.assertEqual(stat.S_IMODE((self.restored() / 'documents' / 'set-uid').stat().st_mode), 0o6755)
        self.assertEqual(os.getxattr(self.restored() / 'read-only', 'user.note'), b'kept')
        self.assertEqual((self.restored() / 'foreign').read_bytes(), b'content\n')
        self.assert_same(self.source / 'documents', self.restored() / 'documents')


class Browse(ArchiveTest):
    """A look into the archive, one directory at a time."""

    def browse(self, path, *options, status=0):
        code, result, log = run_tool(RESTORE_TOOL, '--target', self.target, '--manifest', self.manifest,
                                     '--browse',
                                     path, *options)
        self.assertEqual(code, status, f'{result} {log}')
        return result

    def names(self, path, *options):
        return [os.path.basename(e['path']) for e in self.browse(path, *options)['entries']]

    def test_levels(self):
        for name in ('b/2', 'b/1', 'a', 'c/d/e'):
            write(self.source / name)
        os.symlink('a', self.source / 'link')
        self.backup()
        self.assertEqual(self.names(''), [self.source.parts[1]])
        self.assertEqual(self.names('/'), [self.source.parts[1]])
        self.assertEqual(self.names(self.source), ['a', 'b', 'c', 'link'])
        self.assertEqual([e['type'] for e in self.browse(self.source)['entries']],
                         ['file', 'directory', 'directory', 'symlink'])
        self.assertEqual(self.names(self.source / 'b'), ['1', '2'])
        self.assertEqual(self.browse(self.source / 'nothing', status=4)['code'], 'PATH_NOT_FOUND')
        self.assertEqual(self.browse(self.source / 'a', status=4)['code'], 'NOT_A_DIRECTORY')
        self.assertEqual(self.browse('relative', status=4)['code'], 'FIELD_INVALID')

    def test_pages(self):
        expected = [f'{i:05}' for i in range(2500)]
        for name in expected:
            write(self.source / name, b'')
        write(self.source / 'odd' / 'x')
        os.mkdir(os.fsencode(self.source) + b'/caf\xe9')
        self.backup()
        found, cursor = [], ''
        while cursor is not None:
            page = self.browse(self.source, '--limit', '600', '--cursor', cursor)
            self.assertLessEqual(len(page['entries']), 600)
            found += [e['path'] for e in page['entries']]
            cursor = page['next_cursor']
        self.assertEqual(len(found), 2502)
        self.assertEqual([os.path.basename(p) for p in found[:2500]], expected)
        self.assertIn('base64', found[2500])
        self.assertEqual(self.browse(self.source, '--cursor', '###', status=4)['code'], 'FIELD_INVALID')


if __name__ == '__main__':
    unittest.main(verbosity=2)
