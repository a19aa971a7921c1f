# SPDX-License-Identifier: Apache-2.0
"""A system of SAP HANA as the stand-in for hdbsql keeps it: made, asked, and made to fail."""

import json
import pathlib
import shutil

PASSWORD = 'Very#Secret-73'
KEY = 'BACKUPKEY'
START = 1700000000000


class System:
    """Its folder has hdbsql (bin/), the directory that data is written to (data/), that of logs and a user store."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.bin, self.data, self.logs, self.home = (self.folder / n for n in ('bin', 'data', 'logs', 'home'))
        for place in self.bin, self.data, self.logs, self.home / '.hdb':
            place.mkdir(parents=True)
        shutil.copy(pathlib.Path(__file__).resolve().parent / 'fake_hdbsql.py', self.bin / 'hdbsql')
        (self.bin / 'hdbsql').chmod(0o755)
        self.save({'databases': ['SYSTEMDB', 'HXE', 'H-2'], 'user': 'BACKUPX', 'password': PASSWORD, 'key': KEY,
                   'key_database': 'SYSTEMDB', 'catalog': [], 'clock': START, 'channels': {}, 'faults': {},
                   'logs': str(self.logs)})

    def save(self, state):
        """As it is from now on."""
        (self.bin / 'system.json').write_text(json.dumps(state), encoding='utf-8')

    def state(self):
        """As it is."""
        return json.loads((self.bin / 'system.json').read_text(encoding='utf-8'))

    def change(self, **values):
        """Other values for some of it."""
        self.save({**self.state(), **values})

    def fail(self, **faults):
        """What goes wrong at the next statements of a kind, one after the other; None is a statement that does not."""
        self.change(faults=faults)

    def log(self, database, *names, state='successful'):
        """A backup of logs, as the database makes it by itself."""
        system = self.state()
        system['clock'] += 1
        files = []
        for name in names:
            path = self.logs / name
            path.write_text(f'log {name}', encoding='utf-8')
            files.append({'size': path.stat().st_size, 'type': 'volume', 'destination': 'file', 'ebid': '',
                          'path': str(path)})
        system['catalog'].append({'id': system['clock'], 'database': database, 'type': 'log backup', 'state': state,
                                  'files': files})
        self.save(system)

    def calls(self):
        """How hdbsql was called so far: argv, environ and input of each call."""
        path = self.bin / 'calls.jsonl'
        return [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()] if path.exists() else []

    def statements(self, begin):
        """All statements that began so."""
        return [line for call in self.calls() for line in call['input'].splitlines() if line.startswith(begin)]

    def pieces(self):
        """The names in the directory of data."""
        return sorted(p.name for p in self.data.iterdir())

    def source(self, key=False, **more):
        """The source of a task."""
        server = {'key': KEY, 'home': str(self.home)} if key else {'host': 'db1', 'instance': 0, 'user': 'BACKUPX'}
        where = {} if more.get('via') == 'backint' or more.get('backup') == 'log' else {'directory': str(self.data)}
        return {'server': server, **where, **more}
