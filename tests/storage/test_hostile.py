#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Archives made by somebody who knows the format and means harm, and a destination that changes under the
restore. Nothing may ever come to be outside of the destination."""

import os
import shutil
import tarfile
import threading
import unittest

from archives import ArchiveTest, forge, frame, member, run_tool, tar_of


class Hostile(ArchiveTest):
    """Each test restores a forged archive; what lies beside the destination must stay as it is."""

    def setUp(self):
        super().setUp()
        self.outside = self.folder / 'outside'
        self.outside.mkdir()
        (self.outside / 'victim').write_text('untouched')

    def tearDown(self):
        self.assertEqual([p.name for p in self.outside.iterdir()], ['victim'])
        self.assertEqual((self.outside / 'victim').read_text(), 'untouched')
        self.assertEqual((self.outside / 'victim').stat().st_nlink, 1)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p != self.destination),
                         ['outside', 'source', 'target'])

    def forge(self, *members, **options):
        """Forges an archive with the source /s."""
        self.manifest = forge(self.target, list(members), options.pop('sources', ['/s']), **options)

    def attack(self, status=None, options=()):
        """Restores; whatever comes of it, it ends."""
        code, result, log = run_tool(*self.command(options))
        self.assertIn(code, (0, 3, 4) if status is None else (status, ), f'{result} {log}')
        return result

    def command(self, options=()):
        """The restore of the forged archive."""
        from archives import RESTORE_TOOL
        return [RESTORE_TOOL, '--target', self.target, '--manifest', self.manifest, '--destination',
                self.destination, *options]

    def test_forger_can_forge(self):
        """Otherwise the tests below would prove nothing."""
        self.forge(member('s'), member('s/a', b'content'), member('s/d'), member('s/d/b', b'more'),
                   member('s/link', b'', type=tarfile.SYMTYPE, linkname='a', size=0),
                   member('s/same', b'', type=tarfile.LNKTYPE, linkname='s/a', size=0))
        result = self.attack(status=0)
        self.assertEqual((self.destination / 's' / 'a').read_bytes(), b'content')
        self.assertEqual((self.destination / 's' / 'same').stat().st_nlink, 2)
        self.assertEqual((self.destination / 's' / 'd' / 'b').read_bytes(), b'more')
        self.assertEqual((result['files'], result['directories']), (4, 2))

    def test_dots(self):
        for name in ('s/../../outside/x', '../outside/x', 's/..', '..', 's/./../x', 's/d/../../../outside/x',
                     './../x'):
            self.forge(member('s'), member('s/a', b'a'), member(name, b'evil'))
            self.attack()
            shutil.rmtree(self.destination, True)

    def test_absolute_names(self):
        self.forge(member('s'), member(f'{self.outside}/x', b'evil'))
        self.attack()
        self.forge(member('s'), member(f'/{self.outside}/victim', b'evil'))
        self.attack(options=['--conflict', 'overwrite'])

    def test_symlink_then_child(self):
        for target in (str(self.outside), '../../outside', '/', '..'):
            self.forge(member('s'), member('s/link', b'', type=tarfile.SYMTYPE, linkname=target, size=0),
                       member('s/link/x', b'evil'), member('s/link/victim', b'evil'), member('s/link/d'))
            for conflict in ('fail', 'skip', 'overwrite'):
                self.attack(options=['--conflict', conflict])
                shutil.rmtree(self.destination, True)

    def test_symlink_then_directory_then_child(self):
        self.forge(member('s'), member('s/link', b'', type=tarfile.SYMTYPE, linkname=str(self.outside),
                                       size=0),
                   member('s/link', mode=0o777), member('s/link/x', b'evil'))
        for conflict in ('fail', 'skip', 'overwrite'):
            self.attack(options=['--conflict', conflict])
            shutil.rmtree(self.destination, True)

    def test_symlink_in_the_middle_of_a_directory(self):
        """A directory, entered, then replaced by a symlink by the archive itself."""
        self.forge(member('s'), member('s/d'), member('s/d/a', b'a'),
                   member('s/d', b'', type=tarfile.SYMTYPE, linkname=str(self.outside), size=0),
                   member('s/d/x', b'evil'))
        for conflict in ('fail', 'skip', 'overwrite'):
            self.attack(options=['--conflict', conflict])
            shutil.rmtree(self.destination, True)

    def test_hard_link_to_outside(self):
        for target in (f'{self.outside}/victim', f'{str(self.outside)[1:]}/victim', '../outside/victim',
                       's/../../outside/victim', 's/link/victim', 's/missing', '', 's', 's/self'):
            self.forge(member('s'), member('s/link', b'', type=tarfile.SYMTYPE, linkname=str(self.outside),
                                           size=0),
                       member('s/self', b'', type=tarfile.LNKTYPE, linkname=target, size=0))
            result = self.attack()
            self.assertNotEqual(result['state'], 'succeeded')
            self.assertFalse((self.destination / 's' / 'self').exists())
            shutil.rmtree(self.destination, True)

    def test_hard_link_to_what_was_there(self):
        """A link joins only what the same run restored."""
        self.forge(member('s'), member('s/self', b'', type=tarfile.LNKTYPE, linkname='s/mine', size=0))
        (self.destination / 's').mkdir(parents=True)
        (self.destination / 's' / 'mine').write_text('mine')
        result = self.attack(options=['--conflict', 'overwrite'])
        self.assertEqual(result['errors'][0]['code'], 'LINK')
        self.assertEqual((self.destination / 's' / 'mine').stat().st_nlink, 1)

    def test_hard_links_in_a_circle(self):
        self.forge(member('s'), member('s/a', b'', type=tarfile.LNKTYPE, linkname='s/b', size=0),
                   member('s/b', b'', type=tarfile.LNKTYPE, linkname='s/a', size=0))
        result = self.attack()
        self.assertEqual({e['code'] for e in result['errors']}, {'LINK'})

    def test_duplicates(self):
        self.forge(member('s'), member('s/a', b'first'), member('s/a', b'second'), member('s'),
                   member('s/a'))
        result = self.attack(status=3)
        self.assertEqual({e['code'] for e in result['errors']}, {'EXISTS'})
        self.assertEqual((self.destination / 's' / 'a').read_bytes(), b'first')

    def test_huge_sizes(self):
        for size in (1 << 40, (1 << 63) - 1, 1 << 20):
            stream, _ = tar_of([member('s'), member('s/a', b'small')])
            header = bytearray(stream)
            at = stream.index(b's/a\0')
            info = tarfile.TarInfo('s/a')
            info.size = size
            header[at:at + 512] = info.tobuf(tarfile.GNU_FORMAT)[:512]
            self.forge(member('s'), member('s/a', b'small'), stream=bytes(header))
            self.attack(status=4)
            self.assertFalse((self.destination / 's' / 'a').exists())
            self.assertEqual(list(self.destination.rglob('.backupx*')), [])
            shutil.rmtree(self.destination, True)

    def test_sparse_lies(self):
        """GNU sparse 1.0 maps with numbers that cannot be."""
        for sparse_map in (b'1\n0\n99999999999999999999\n', b'1\n9223372036854775807\n5\n',
                           b'2\n10\n5\n0\n5\n', b'-1\n', b'999999999\n', b'x\n', b'1\n', b'1\n0\n600\n',
                           b'2\n0\n10\n5\n10\n'):
            block = sparse_map.ljust(512, b'\0') + b'data!'
            info, _ = member('s/a', block)
            info.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 's/a',
                                'GNU.sparse.realsize': '100'}
            self.forge(member('s'), (info, block))
            result = self.attack(status=4)
            self.assertEqual(result['code'], 'ARCHIVE_DAMAGED', sparse_map)
            shutil.rmtree(self.destination, True)

    def test_pax_lies(self):
        """Extended headers that name another path, or nonsense."""
        for headers in ({'path': '../outside/x'}, {'path': '/../outside/x'}, {'path': 's/../../outside/x'},
                        {'path': ''}, {'linkpath': '../outside'}, {'size': '-1'}, {'size': 'x'},
                        {'uid': '99999999999999999999'},
                        {'mtime': '1e400'}, {'SCHILY.xattr.': 'x'}, {'SCHILY.xattr.user.%zz': 'x'},
                        {'SCHILY.acl.access': 'user::rwx,everything goes'}):
            info, content = member('s/a', b'evil')
            info.pax_headers = headers
            self.forge(member('s'), (info, content))
            self.attack()
            shutil.rmtree(self.destination, True)

    def test_streams_that_are_no_tar(self):
        for stream in (b'', b'\0' * 512, os.urandom(4096), b'\xff' * 1024, tar_of([member('s')])[0][:700]):
            self.forge(member('s'), member('s/a', b'a'), stream=stream or b'\0')
            self.attack()
            shutil.rmtree(self.destination, True)

    def test_manifest_lies(self):
        def with_change(path, value):
            def change(manifest):
                at = manifest
                for key in path[:-1]:
                    at = at[key]
                at[path[-1]] = value
            return change

        for path, value in ((('data', 'name'), '../../outside/victim'), (('entries', 'name'), '/etc/passwd'),
                            (('data', 'size'), 1 << 62), (('data', 'frames'), 1 << 62),
                            (('plain', 'size'), 1 << 62),
                            (('data', 'stream_size'), 1 << 62), (('entries', 'frames'), []),
                            (('entries', 'frames', 0, 1), 1 << 31), (('entries', 'frames', 0, 2), 1 << 31),
                            (('entries', 'frames', 2, 6), 1 << 62), (('entries', 'frames', 0, 0), 'other'),
                            (('counts', 'bytes'), -1), (('sources', ), ['relative']),
                            (('sources', ), ['/../..']),
                            (('sources', ), 5), (('version', ), 3), (('format', ), 'x'),
                            (('encrypted', ), True)):
            self.forge(member('s'), member('s/a', b'a'), change=with_change(path, value))
            result = self.attack()
            if path not in (('plain', 'size'), ('data', 'frames')):  # nothing depends on these
                self.assertEqual(result['state'], 'failed', (path, value))

    def test_frames_that_grow(self):
        """A frame that decompresses to more than it said."""
        stream, _ = tar_of([member('s'), member('s/a', b'\0' * (7 << 20))])
        packed, _ = frame(stream)
        self.assertLess(len(packed), 100_000)

        def change(manifest):
            manifest['plain']['size'] = 1024

        self.forge(member('s'), member('s/a', b'\0' * (7 << 20)), change=change)
        self.attack()

    def test_set_id_of_a_stranger(self):
        """An owner that the system does not have room for."""
        self.forge(member('s'), member('s/a', b'a', mode=0o6755, uid=0xffffffff, gid=0xffffffff))
        self.attack()
        path = self.destination / 's' / 'a'
        if path.exists():
            self.assertEqual(path.stat().st_mode & 0o6000, 0)


class Moving(ArchiveTest):
    """Somebody who may write in the destination moves things while they are restored."""

    def test_directories_become_symlinks(self):
        outside = self.folder / 'outside'
        outside.mkdir()
        for i in range(40):
            for k in range(40):
                folder = self.source / f'd{i}' / 'e' / 'f'
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f'{k}').write_text('content')
        self.backup()
        root = self.restored()
        stop = threading.Event()

        def swap():
            """Replaces directories by symlinks to elsewhere, and moves them out and back."""
            n = 0
            while not stop.is_set():
                for path in (root / f'd{n % 40}', root / f'd{n % 40}' / 'e',
                             root / f'd{n % 40}' / 'e' / 'f'):
                    try:
                        os.rename(path, f'{path}.moved')
                        os.symlink(outside, path)
                        os.unlink(path)
                        os.rename(f'{path}.moved', path)
                    except OSError:
                        pass
                n += 1

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for conflict in ('overwrite', 'skip', 'overwrite', 'overwrite'):
                code, result, log = run_tool(*self.command(conflict))
                self.assertIn(code, (0, 3, 4), f'{result} {log}')
                self.assertEqual(list(outside.iterdir()), [])
        finally:
            stop.set()
            thread.join()
        self.assertEqual(list(outside.iterdir()), [])

    def command(self, conflict):
        from archives import RESTORE_TOOL
        return [RESTORE_TOOL, '--target', self.target, '--manifest', self.manifest, '--destination',
                self.destination, '--conflict', conflict]


if __name__ == '__main__':
    unittest.main(verbosity=2)
