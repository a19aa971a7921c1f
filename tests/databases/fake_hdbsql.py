#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for hdbsql and the SAP HANA behind it: takes what the real one is documented to take, writes down
how it was called, and keeps a system (databases, catalog, pieces) in $HOME or beside itself, in system.json.

What it knows is what is published: options, "\\c", one statement a line, rows on standard output, errors as
"* CODE: TEXT SQLSTATE: …" and an exit status. It proves nothing about a real system."""

import fcntl
import json
import os
import pathlib
import re
import sys
import time

PLACE = pathlib.Path(__file__).resolve().parent
STATE = PLACE / 'system.json'
BACKUP = re.compile(r"BACKUP DATA(?: (INCREMENTAL|DIFFERENTIAL))?(?: FOR (\S+))? USING (FILE|BACKINT)"
                    r" \('((?:[^']|'')+)'\)$")
CHANNELS = re.compile(r"ALTER SYSTEM ALTER CONFIGURATION \('global.ini', ('SYSTEM'|'DATABASE', '[\w-]+')\) SET"
                      r" \('backup', 'parallel_data_backup_backint_channels'\) = '(\d+)' WITH RECONFIGURE$")
LEVELS = {None: 'complete', 'INCREMENTAL': 'incremental', 'DIFFERENTIAL': 'differential'}


class Refused(Exception):
    """An error of the database: code, text, state."""


def load():
    """The system as it is now."""
    return json.loads(STATE.read_text(encoding='utf-8'))


def save(system):
    """The system as it is from now on."""
    fresh = STATE.with_suffix('.new')
    fresh.write_text(json.dumps(system), encoding='utf-8')
    fresh.rename(STATE)


def next_fault(system, kind):
    """Takes the next of the faults that a test wants of this kind of statement."""
    faults = system['faults'].get(kind) or []
    fault = faults.pop(0) if faults else None
    save(system)
    return fault


def connect(line, system):
    """The database that this logs in to."""
    words = line.split()[1:]
    given = dict(zip(words[::2], words[1::2]))
    if given.get('-U'):
        if given['-U'] != system['key'] or not (pathlib.Path(os.environ['HOME']) / '.hdb').is_dir():
            raise Refused(-10104, 'Invalid value for KEY', 'HY000')
        return given.get('-d', system['key_database'])
    if next_fault(system, 'connect') == 'refused':
        raise Refused(-10709, "Connection failed (RTE:[89006] System call 'connect' failed, rc=111)", '08000')
    if (given.get('-u'), given.get('-p')) != (system['user'], system['password']):
        raise Refused(10, 'authentication failed', '28000')
    return given.get('-d', 'SYSTEMDB')


def write_pieces(entry, via, target, system):
    """A piece for the topology and two volumes, as the database does: a path, or a path of Backint's."""
    suffix = '' if entry['type'].startswith('complete') else f'_{entry["type"].split()[0]}_1_2'
    for volume in range(3):
        path = target if via == 'FILE' else f'/usr/sap/HXE/SYS/global/hdb/backint/DB_{entry["database"]}/{target}'
        path += f'_databackup{suffix}_{volume}_1'
        data = f'{entry["id"]}:{volume}:'.encode() * (1 + volume * 20000)
        if via == 'FILE':
            if not target.startswith('/'):
                raise Refused(447, 'backup could not be completed', 'HY000')
            with open(path, 'wb') as f:
                f.write(data)
        entry['files'].append({'size': len(data), 'type': 'topology' if volume == 0 else 'volume',
                               'destination': 'file' if via == 'FILE' else 'backint',
                               'ebid': '' if via == 'FILE' else f'ebid-{entry["id"]}-{volume}', 'path': path})
    catalog = pathlib.Path(system['logs']) / f'log_backup_0_0_0_0.{entry["id"]}'
    catalog.write_text('catalog', encoding='utf-8')
    entry['files'].append({'size': 7, 'type': 'catalog', 'destination': 'file', 'ebid': '', 'path': str(catalog)})


def back_up(match, connected, system):
    """BACKUP DATA."""
    level, database, via, target = match.groups()
    database = (database or connected).strip('"')
    fault = next_fault(system, 'backup')
    if database not in system['databases']:
        raise Refused(448, f'database {database} does not exist', 'HY000')
    if fault == 'denied':
        raise Refused(258, 'insufficient privilege', 'HY000')
    if level and not any(e['database'] == database and e['type'].startswith('complete') for e in system['catalog']):
        raise Refused(447, 'backup could not be completed: no full backup', 'HY000')
    if fault == 'hang':
        time.sleep(1000)
    system = load()
    system['clock'] += 1
    entry = {'id': system['clock'], 'database': database, 'type': f'{LEVELS[level]} data backup',
             'state': 'failed' if fault == 'failed' else 'successful', 'files': []}
    write_pieces(entry, via, target.replace("''", "'"), system)
    if fault == 'short':
        os.truncate(entry['files'][1]['path'], 10)
    if fault == 'gone':
        os.unlink(entry['files'][2]['path'])
    if fault == 'running':  # the catalog says so twice, without pieces, and then that it went well
        entry['looks'] = 2
    system['catalog'].append(entry)
    save(system)
    if fault in ('failed', 'broken', 'running'):
        raise Refused(447, 'backup could not be completed' if fault == 'failed' else 'connection broken', 'HY000')


def entries_of(line, connected, system):
    """The entries that a question is about, as its condition says."""
    named = re.search(r"DATABASE_NAME='([\w-]+)'", line)
    mine = [e for e in system['catalog'] if e['database'] == (named.group(1) if named else connected)]
    sought = re.search(r"LOCATE\(\w\.DESTINATION_PATH,'([^']+)'\)>0", line)
    if sought:
        running = [e for e in mine if e.get('looks') and "C.STATE_NAME='running'" in line]
        ended = [e for e in mine if not e.get('looks')]
        return running + [e for e in ended if any(sought.group(1) in f['path'] for f in e['files'])]
    full = [e['id'] for e in mine if e['type'].startswith('complete') and e['state'] == 'successful']
    if "'log backup'" in line:
        return [e for e in mine if e['type'] == 'log backup' and e['state'] == 'successful'
                and e['id'] > max(full, default=0)]
    return [e for e in mine if full and e['id'] == max(full)]


def state_of(entry, system):
    """What the catalog says of it, while it is looked at."""
    if entry.get('looks', 0) > 0:
        entry['looks'] -= 1
        save(system)
        return 'running'
    return entry['state']


def rows(line, connected, system):
    """The rows of a question."""
    if "'BX1|is|'" in line:
        yield f'BX1|is|HXE|2.00.045.00.1575639312|{connected}'
    elif "'BX1|database|'" in line:
        for database in sorted(system['databases'] if connected == 'SYSTEMDB' else [connected]):
            yield f'BX1|database|{database}'
    elif "'BX1|backup|'" in line:
        if next_fault(system, 'catalog') == 'denied':
            raise Refused(258, 'insufficient privilege: Not authorized', 'HY000')
        system = load()
        for e in entries_of(line, connected, system):
            yield f'BX1|backup|{e["id"]}|{state_of(e, system)}|{e["type"]}'
    elif "'BX1|piece|'" in line:
        files = "DESTINATION_TYPE_NAME='file'" in line
        for e in entries_of(line, connected, system):
            for f in e['files']:
                if f['destination'] == 'file' or not files:
                    yield f'BX1|piece|{e["id"]}|{f["size"]}|{f["type"]}|{f["destination"]}|{f["ebid"]}|{f["path"]}'
    elif "'BX1|end'" in line:
        if next_fault(system, 'end') != 'cut':
            yield 'BX1|end'
    else:
        raise Refused(257, f'sql syntax error: {line}', 'HY000')


def execute(line, connected, system):
    """One statement."""
    if not connected:
        raise Refused(-10821, 'Session not connected', '08003')
    match = BACKUP.match(line)
    if match:
        return back_up(match, connected, system)
    match = CHANNELS.match(line)
    if match:
        system['channels'][match.group(1)] = int(match.group(2))
        return save(system)
    for row in rows(line, connected, system):
        print(row, flush=True)
    return None


def main():
    """Runs what comes on standard input, line by line."""
    if '-v' in sys.argv:
        print('HDBSQL version 2.7.26, the SAP HANA Database interactive terminal.')
        return 0
    with open(PLACE / 'lock', 'w', encoding='utf-8') as lock, open(PLACE / 'calls.jsonl', 'a', encoding='utf-8') as f:
        text = sys.stdin.read()
        with open('/proc/self/cmdline', 'rb') as own:
            cmdline = own.read().split(b'\0')
        f.write(json.dumps({'argv': sys.argv[1:], 'cmdline': [w.decode() for w in cmdline],
                            'environ': dict(os.environ), 'input': text}) + '\n')
        f.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        connected, status = None, 0
        arguments = sys.argv[1:]
        if '-U' in arguments:
            text = '\\c ' + ' '.join(arguments[arguments.index('-U'):]) + '\n' + text
        for line in text.splitlines():
            try:
                if line.startswith('\\c '):
                    connected = connect(line, load())
                else:
                    execute(line, connected, load())
            except Refused as refused:
                print('* {}: {} SQLSTATE: {}'.format(*refused.args), file=sys.stderr, flush=True)
                status = 3
        return status


if __name__ == '__main__':
    sys.exit(main())
