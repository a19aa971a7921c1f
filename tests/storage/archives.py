# SPDX-License-Identifier: Apache-2.0
"""Archives for tests: made and restored by the tools of this folder, or forged by hand from any tar stream,
as somebody would who can write the storage and knows the format."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'lib'), str(ROOT / 'tests' / 'tools')]
if 'ASAN_OPTIONS' in os.environ:
    # The search for leaks does not go together with strace, which injects the faults.
    os.environ['ASAN_OPTIONS'] += ':detect_leaks=0'
BUILD = pathlib.Path(os.environ.get('BACKUPX_BUILD') or ROOT / 'build').resolve()
ARCHIVE_TOOL = BUILD / 'tests' / 'storage' / 'archive-tool'
RESTORE_TOOL = BUILD / 'tests' / 'storage' / 'restore-tool'


def run_tool(*arguments, **options):
    """Runs a tool; gives its exit status, its result and its log."""
    done = subprocess.run([os.fspath(a) for a in arguments], capture_output=True, check=False, **options)
    text = done.stdout.decode(errors='surrogateescape')
    result = json.loads(text) if text.startswith('{') else {}
    return done.returncode, result, done.stderr.decode(errors='replace')


def frame(plain):
    """One zstd frame that says its size, and a digest of it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(plain)
        file.flush()
        packed = subprocess.run(['zstd', '-q', '-c', file.name], check=True, capture_output=True).stdout
    return packed, hashlib.sha256(packed).hexdigest()


def json_path(path):
    """A path as the formats have it; forged ones are UTF-8 throughout."""
    return path.decode() if isinstance(path, bytes) else path


def tar_of(members):
    """A pax stream of (TarInfo, content), with the place of each: [(offset, length)]."""
    stream, places = io.BytesIO(), []
    with tarfile.open(fileobj=stream, mode='w', format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            start = tar.offset
            tar.addfile(info, io.BytesIO(content) if content is not None else None)
            places.append((start, tar.offset - start))
    return stream.getvalue(), places


def member(name, content=None, **fields):
    """A member of a forged archive; type is one of tarfile's."""
    info = tarfile.TarInfo(name)
    info.type = fields.pop('type', tarfile.REGTYPE if content is not None else tarfile.DIRTYPE)
    info.mode = fields.pop('mode', 0o755 if content is None else 0o644)
    info.mtime = 1_700_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    if content is not None and 'size' not in fields:
        info.size = len(content)
    return info, content


TYPES = {tarfile.REGTYPE: 'file', tarfile.DIRTYPE: 'directory', tarfile.SYMTYPE: 'symlink',
         tarfile.LNKTYPE: 'hardlink', tarfile.FIFOTYPE: 'fifo', tarfile.CHRTYPE: 'character'}


def listing_of(members, places):
    """List and index lines of the members. Directories that are not among them are left out of both."""
    children = {}
    for (info, _), (at, length) in zip(members, places):
        directory, _, name = info.name.rpartition('/')
        line = {'name': name, 'type': TYPES[info.type], 'mode': info.mode, 'uid': info.uid, 'gid': info.gid,
                'mtime': [int(info.mtime), 0], 'at': at, 'length': length}
        if info.type == tarfile.REGTYPE:
            line['size'] = info.size
        if info.linkname:
            line['target'] = info.linkname
        children.setdefault(directory, []).append(line)
        if info.type == tarfile.DIRTYPE:
            children.setdefault(info.name, [])
    lists, index = [], []
    # A directory stands behind everything below it.
    for directory in sorted(children, key=lambda d: [(p, ) for p in d.split('/')] + [('\U0010ffff', )]
                            if d else [('\U0010ffff\U0010ffff', )]):
        lines = children[directory]
        if lines:
            lists.append({'dir': directory})
            lists += sorted(lines, key=lambda line: line['name'].encode())
        index.append({'index': directory, 'frames': [0] if lines else []})
    return lists, index


def lines_of(objects):
    """NDJSON."""
    return b''.join(json.dumps(o, ensure_ascii=False,
                               separators=(',', ':')).encode() + b'\n' for o in objects)


def forge(target, members, sources, key='run/', change=None, stream=None):
    """Writes an archive of these members below target; gives the digest of its manifest. change may alter
    the manifest before it is written; stream replaces the tar stream's bytes."""
    plain, places = tar_of(members)
    if stream is not None:
        plain = stream
    data, digest = frame(plain)
    lists, index = listing_of(members, places)
    frames, entries, at = [], b'', 0
    table = [{'table': [[len(data), len(plain), digest]]}]
    for kind, objects, more in (('list', lists, []), ('index', index, [index[-1]['index']]),
                                ('table', table, [0, 0, 0])):
        text = lines_of(objects)
        packed, digest = frame(text)
        frames.append([kind, len(packed), len(text), digest] + more)
        entries += packed
        at += len(packed)
    manifest = {
        'format': 'backupx-archive', 'version': 1, 'created_by': 'forger', 'encrypted': False,
        'run': 1, 'attempt': 1,
        'node': {'id': 1, 'name': 'n'}, 'task': {'id': 1, 'name': 't'},
        'started': '2026-11-22T22:15:01.123Z', 'finished': '2026-11-22T22:15:09.456Z', 'sources': sources,
        'counts': {'files': len(members), 'directories': 0, 'others': 0, 'skipped': 0, 'errors': 0,
                   'bytes': len(plain)},
        'plain': {'size': len(plain), 'sha256': hashlib.sha256(plain).hexdigest()},
        'data': {'name': 'data.tar.zst', 'size': len(data), 'sha256': hashlib.sha256(data).hexdigest(),
                 'stream_size': len(data), 'frames': 1},
        'entries': {'name': 'entries.zst', 'size': len(entries),
                    'sha256': hashlib.sha256(entries).hexdigest(),
                    'frames': frames}}
    if change:
        change(manifest)
    packed, digest = frame(lines_of([manifest]))
    folder = pathlib.Path(target) / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'data.tar.zst').write_bytes(data)
    (folder / 'entries.zst').write_bytes(entries)
    (folder / 'manifest.json.zst').write_bytes(packed)
    return digest


class ArchiveTest(unittest.TestCase):
    """A test with a folder of its own: source, target and destination in it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-archive-'))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.source = self.folder / 'source'
        self.target = self.folder / 'target'
        self.destination = self.folder / 'destination'
        self.source.mkdir()
        self.target.mkdir()
        self.manifest = None
        self.options = []

    def backup(self, *sources, options=(), status=0):
        """Backs up the source, or these."""
        code, result, log = run_tool(ARCHIVE_TOOL, '--target', self.target, *options,
                                     *(sources or [self.source]))
        self.assertEqual(code, status, f'{result} {log}')
        self.manifest = [o['sha256'] for o in result['objects'] if o['name'].startswith('manifest')][0]
        return result

    def restore(self, *paths, options=(), status=0, in_place=False, targets=None, run=None):
        """Restores everything, or these paths; gives the result and the log."""
        where = ['--in-place'] if in_place else ['--destination', self.destination]
        copies = [word for t in targets or [self.target] for word in ('--target', t)]
        code, result, log = run_tool(*(run or []), RESTORE_TOOL, *copies, '--manifest', self.manifest,
                                     *where,
                                     *self.options, *options, *paths)
        self.assertEqual(code, status, f'{result} {log}')
        return result, log

    def restored(self, path=None):
        """Where the source, or another absolute path, is in the destination."""
        return self.destination / os.fspath(path or self.source)[1:]

    def assert_same(self, one=None, other=None, **options):
        """Both trees are identical."""
        import treecmp
        found = treecmp.differences(one or self.source, other or self.restored(), **options)
        self.assertEqual(found, [])

    def assert_codes(self, result, *codes):
        """These errors were named, in any order."""
        self.assertEqual(sorted(e['code'] for e in result['errors']), sorted(codes), result['errors'])
