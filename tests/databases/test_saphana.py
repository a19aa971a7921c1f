#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups of SAP HANA by hdbsql, against a stand-in for it that writes down what it is told (fake_hdbsql.py): there is
no SAP HANA to be had."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'databases')]

from saphana import KEY, PASSWORD, System  # noqa: E402 pylint: disable=wrong-import-position

TOOL = os.path.join(os.environ['BACKUPX_BUILD'], 'tests/databases/database-tool')
FORMATS = 'archive', 'repository'


class Saphana(unittest.TestCase):
    """A system for each test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='backupx-hana-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.system = System(self.folder / 'system')
        self.places, self.said = 0, ''

    def place(self):
        """An empty target."""
        self.places += 1
        place = self.folder / f'place{self.places}'
        place.mkdir()
        return place

    def environment(self, password=PASSWORD):
        given = {} if password is None else {'DATABASE_PASSWORD': password}
        return {**os.environ, 'TOOLS': str(self.system.bin), **given}

    def back_up(self, *, form='archive', place=None, code=None, password=PASSWORD, **source):
        """Runs one; code: that it fails with."""
        place = place or self.place()
        done = subprocess.run([TOOL, 'hana-backup', form, place, json.dumps(self.system.source(**source))],
                              capture_output=True, check=False, timeout=120, env=self.environment(password), text=True)
        result = json.loads(done.stdout)
        self.assertEqual(result.get('code') or None, code, f'{done.stdout} {done.stderr}')
        self.assertEqual(done.returncode, 4 if code else 0, done.stderr)
        if code:
            self.assertEqual([p for p in place.rglob('*') if p.is_file()], [])
        self.said = done.stdout + done.stderr
        self.assertNotIn(PASSWORD, self.said)
        return place

    def stored(self, place):
        """Path -> content of what an archive holds."""
        out = self.place()
        subprocess.run(f"set -o pipefail; zstd -qdc '{place}/run/data.tar.zst' | tar -xf - -C '{out}'", check=True,
                       shell=True, executable='/bin/bash')
        return {str(p.relative_to(out / 'saphana')): p.read_bytes() for p in out.rglob('*') if p.is_file()}

    def entries(self, database):
        return [e for e in self.system.state()['catalog'] if e['database'] == database]

    def expected(self, entry):
        """What a backup of data has to hold of it."""
        return {f'{entry["database"]}/{pathlib.Path(f["path"]).name}': f['size'] for f in entry['files']}

    # --- data ---

    def test_full(self):
        """All databases, each with its pieces, its catalog and how it is recovered; nothing is left behind."""
        stored = self.stored(self.back_up())
        sizes = {path: len(data) for path, data in stored.items() if not path.endswith('recovery.txt')}
        wanted = {}
        for database in 'SYSTEMDB', 'HXE', 'H-2':
            (entry,) = self.entries(database)
            wanted |= self.expected(entry)
            self.assertIn(f'{database}/recovery.txt', stored)
        self.assertEqual(sizes, wanted)
        self.assertEqual(self.system.pieces(), [])
        self.assertRegex('\n'.join(self.system.statements('BACKUP')),
                         r"^BACKUP DATA FOR \"H-2\" USING FILE \('.*/data/backupx\.H-2\.\d{8}T\d{6}Z-[0-9a-f]{8}'\)\n"
                         r"BACKUP DATA FOR HXE USING FILE \('[^']*'\)\n"
                         r"BACKUP DATA USING FILE \('[^']*'\)$")
        text = stored['HXE/recovery.txt'].decode()
        name = re.search(r"USING FILE \('DIRECTORY/(backupx\.HXE\.[^']*)'\) CLEAR LOG", text).group(1)
        self.assertTrue(any(path.startswith(f'HXE/{name}_databackup_') for path in stored))
        self.assertIn('recoverSys.py', stored['SYSTEMDB/recovery.txt'].decode())

    def test_repository(self):
        """The other format has the same files."""
        place = self.back_up(form='repository', databases=['HXE'])
        self.assertTrue((place / 'config').exists())
        self.assertEqual(self.system.pieces(), [])

    def test_choice(self):
        """By name and pattern; who logs in to a tenant has that alone."""
        self.back_up(databases=['H*'], exclude=['HX*'])
        self.assertEqual([len(self.entries(d)) for d in ('SYSTEMDB', 'HXE', 'H-2')], [0, 0, 1])
        self.back_up(databases=['GONE'], code='DATABASE_MISSING')
        self.back_up(databases=['Z*'], code='SOURCE_EMPTY')
        source = self.system.source()
        source['server']['database'] = 'HXE'
        done = subprocess.run([TOOL, 'hana-backup', 'archive', self.place(), json.dumps(source)], check=False,
                              capture_output=True, env=self.environment(), timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(self.system.statements('BACKUP')[-1], r"^BACKUP DATA USING FILE \('.*backupx\.HXE\.")
        self.assertNotIn('SYS_DATABASES', self.system.calls()[-1]['input'])

    def test_levels(self):
        """A delta needs a full backup, and says which kind it is."""
        self.back_up(databases=['HXE'], level='incremental', retries=0, code='HANA_FAILED')
        self.assertIn('no full backup', self.said)
        self.back_up(databases=['HXE'])
        for level in 'incremental', 'differential':
            stored = self.stored(self.back_up(databases=['HXE'], level=level))
            self.assertEqual(self.entries('HXE')[-1]['type'], f'{level} data backup')
            self.assertRegex(self.system.statements('BACKUP')[-1], f'^BACKUP DATA {level.upper()} FOR HXE USING FILE')
            self.assertIn('RECOVER DATABASE FOR "HXE" UNTIL TIMESTAMP', stored['HXE/recovery.txt'].decode())

    def test_backint(self):
        """The data goes past us; the channels are set where it is told how many, and the text says where it is."""
        stored = self.stored(self.back_up(via='backint', channels=32, databases=['HXE', 'SYSTEMDB']))
        self.assertEqual(sorted(stored), ['HXE/recovery.txt', 'SYSTEMDB/recovery.txt'])
        self.assertEqual(self.system.state()['channels'], {"'DATABASE', 'HXE'": 32, "'SYSTEM'": 32})
        text = stored['HXE/recovery.txt'].decode()
        self.assertIn(f'ebid-{self.entries("HXE")[0]["id"]}-1', text)
        self.assertRegex(text, r"RECOVER DATA FOR \"HXE\" USING BACKINT \('backupx\.HXE\.")
        self.system.change(channels={})
        self.back_up(via='backint', databases=['HXE'])
        self.assertEqual(self.system.state()['channels'], {})

    # --- logs ---

    def test_logs(self):
        """Those since the newest full backup that are there and went well."""
        self.system.log('HXE', 'log_backup_1_0_1_2.1')
        self.back_up(backup='log', databases=['HXE'], code='FULL_BACKUP_MISSING')
        self.back_up(databases=['HXE'])
        self.system.log('HXE', 'log_backup_1_0_2_3.2', 'log_backup_2_0_2_3.2')
        self.system.log('H-2', 'log_backup_1_0_2_3.3')
        self.system.log('HXE', 'log_backup_1_0_3_4.4', state='failed')
        self.system.log('HXE', 'log_backup_1_0_4_5.5')
        before = sorted(p.name for p in self.system.logs.iterdir())
        stored = self.stored(self.back_up(backup='log', databases=['HXE']))
        text = stored.pop('HXE/recovery.txt').decode()
        self.assertIn('RECOVER DATABASE FOR "HXE" UNTIL TIMESTAMP', text)
        self.assertEqual(stored, {f'HXE/{n}': f'log {n}'.encode() for n in (
            'log_backup_1_0_2_3.2', 'log_backup_1_0_4_5.5', 'log_backup_2_0_2_3.2')})
        self.assertEqual(sorted(p.name for p in self.system.logs.iterdir()), before)

    def test_log_gone(self):
        """A log that is not where the catalog says is lost, and named; the others are stored."""
        self.back_up(databases=['HXE'])
        self.system.log('HXE', 'log_a', 'log_b')
        (self.system.logs / 'log_a').unlink()
        place = self.place()
        done = subprocess.run([TOOL, 'hana-backup', 'archive', place,
                               json.dumps(self.system.source(backup='log', databases=['HXE']))],
                              capture_output=True, check=False, env=self.environment(), text=True, timeout=120)
        self.assertEqual(json.loads(done.stdout)['state'], 'partial')
        self.assertIn('HXE/log_b', self.stored(place))
        self.assertIn('log_a', done.stdout + done.stderr)

    # --- logging in ---

    def test_key(self):
        """With a key of the user store there is no password anywhere; hdbsql finds the store by its home."""
        self.back_up(key=True, password=None, databases=['HXE'])
        for call in self.system.calls():
            self.assertEqual(call['argv'][-2:], ['-U', KEY])
            self.assertEqual(call['environ']['HOME'], str(self.system.home))
            self.assertNotIn('\\c', call['input'])
        (self.system.home / '.hdb').rmdir()
        before = len(self.system.calls())
        self.back_up(key=True, password=None, code='HANA_REFUSED')
        self.assertEqual(len(self.system.calls()), before + 1)

    def test_password(self):
        """It comes on standard input and nowhere else; a wrong one is tried once, so that no account is locked."""
        self.back_up(databases=['HXE'])
        for call in self.system.calls():
            self.assertNotIn(PASSWORD, json.dumps([call['argv'], call['cmdline'], call['environ']]))
            self.assertEqual(call['input'].splitlines()[0], f'\\c -n db1 -i 00 -d SYSTEMDB -u BACKUPX -p {PASSWORD}')
        before = len(self.system.calls())
        self.back_up(password='wrong', code='LOGIN_REFUSED')
        self.assertEqual(len(self.system.calls()), before + 1)
        for password in 'with space', '"quoted"', 'semi;colon', '-dash':
            self.back_up(password=password, code='PASSWORD_UNUSABLE')
            self.assertNotIn(password, self.said)
        self.back_up(password=None, code='PASSWORD_MISSING')
        self.assertEqual(len(self.system.calls()), before + 1)

    def test_lines(self):
        """Nothing that is told is longer than a line may be, and there is nothing in it but statements."""
        self.back_up(via='backint', channels=4)
        for call in self.system.calls():
            for line in call['input'].splitlines():
                self.assertLess(len(line), 1000)
                self.assertRegex(line, r'^(\\c -n|SELECT |BACKUP DATA|ALTER SYSTEM ALTER CONFIGURATION) ?')

    # --- failing ---

    def test_retries(self):
        """A backup that failed is made again; what it left is removed; the log says so."""
        self.system.fail(backup=['failed', 'failed', None])
        stored = self.stored(self.back_up(databases=['HXE']))
        self.assertEqual([e['state'] for e in self.entries('HXE')], ['failed', 'failed', 'successful'])
        name = pathlib.Path(self.entries('HXE')[-1]['files'][0]['path']).name.split('_databackup')[0]
        found = {path.split('/')[1].split('_databackup')[0] for path in stored if 'databackup' in path}
        self.assertEqual(found, {name})
        self.assertEqual(self.system.pieces(), [])
        self.assertIn('2 tries that failed', self.said)

    def test_retries_end(self):
        """As many as it is told, and no more."""
        self.system.fail(backup=['failed'] * 9)
        self.back_up(databases=['HXE'], retries=2, code='HANA_FAILED')
        self.assertEqual(len(self.entries('HXE')), 3)
        self.assertEqual(self.system.pieces(), [])

    def test_answer_lost(self):
        """A backup whose end nobody saw is looked up, and not made again."""
        for fault in 'broken', 'running':
            before = len(self.entries('HXE'))
            self.system.fail(backup=[fault])
            stored = self.stored(self.back_up(databases=['HXE']))
            self.assertEqual(len(self.entries('HXE')), before + 1)
            self.assertLessEqual(self.expected(self.entries('HXE')[-1]).keys(), stored.keys())

    def test_answer_cut(self):
        """An answer without its end is none; rows that came before it are not believed."""
        self.system.fail(end=['cut'] * 9)
        self.back_up(code='HANA_FAILED')
        self.assertEqual((len(self.system.calls()), self.system.statements('BACKUP')), (4, []))

    def test_unreachable(self):
        """A question is asked again, and no more often than it is told."""
        self.system.fail(connect=['refused'] * 20)
        self.back_up(code='HANA_FAILED', retries=1)
        self.assertIn('Connection failed', self.said)
        self.assertEqual(len(self.system.calls()), 2)
        self.system.fail(connect=['refused'] * 3)
        self.back_up(databases=['HXE'])

    def test_rights(self):
        """Who may not read the catalog is told so before anything is written; a missing right is tried once."""
        self.system.fail(catalog=['denied'])
        self.back_up(databases=['HXE'], code='HANA_REFUSED')
        self.assertEqual(self.system.statements('BACKUP'), [])
        self.system.fail(backup=['denied'] * 9)
        self.back_up(databases=['HXE'], code='HANA_REFUSED')
        self.assertEqual(len(self.system.statements('BACKUP')), 1)

    def test_pieces_missing(self):
        """The catalog, the files, and their sizes all have to agree."""
        for fault in 'short', 'gone':
            self.system.fail(backup=[fault])
            self.back_up(databases=['HXE'], code='PIECE_MISSING')

    def test_left_over(self):
        """What could not be stored stays; a delta brings it along, a full backup makes it needless."""
        self.back_up(databases=['HXE'])
        self.system.fail(backup=['short'])
        self.back_up(databases=['HXE'], level='incremental', code='PIECE_MISSING')
        left = self.system.pieces()
        self.assertEqual(len(left), 3)
        (self.system.data / 'backupx.H-2.other').write_text('of another database', encoding='utf-8')
        stored = self.stored(self.back_up(databases=['HXE'], level='incremental'))
        self.assertLessEqual({f'HXE/{n}' for n in left}, stored.keys())
        self.assertEqual(self.system.pieces(), ['backupx.H-2.other'])
        (self.system.data / 'backupx.HXE.old').write_text('of a run that failed', encoding='utf-8')
        stored = self.stored(self.back_up(databases=['HXE']))
        self.assertNotIn('HXE/backupx.HXE.old', stored)
        self.assertEqual(self.system.pieces(), ['backupx.H-2.other'])

    def test_directory(self):
        """Not there, or in use by another run: told before the database is."""
        before = len(self.system.calls())
        with subprocess.Popen(['flock', self.system.data, 'sh', '-c', 'echo held; cat'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            self.assertEqual(holder.stdout.readline(), 'held\n')
            self.back_up(code='DIRECTORY_BUSY')
            holder.stdin.close()
        self.system.data.rmdir()
        self.back_up(code='DIRECTORY_UNUSABLE')
        self.assertEqual(len(self.system.calls()), before)

    def test_no_tool(self):
        (self.system.bin / 'hdbsql').unlink()
        self.back_up(code='TOOL_MISSING')

    def test_cancel(self):
        """A cancel ends hdbsql in the middle of a backup."""
        self.system.fail(backup=['hang'])
        with subprocess.Popen([TOOL, 'hana-backup', 'archive', self.place(),
                               json.dumps(self.system.source(databases=['HXE']))], env=self.environment(),
                              stdout=subprocess.PIPE, text=True) as process:
            while not self.system.statements('BACKUP'):
                self.assertIsNone(process.poll())
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            answer = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual((answer['code'], process.returncode), ('', 4))


if __name__ == '__main__':
    unittest.main()
