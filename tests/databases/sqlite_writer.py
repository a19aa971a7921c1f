#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes to a database without end, as a service would: every transaction is a state that can be told from
all others and from a mixture of two.

sqlite_writer.py DATABASE JOURNAL RATE [die]  prints "ready", then writes; die: kills itself in mid-transaction.
"""

import os
import signal
import sqlite3
import sys
import time

ACCOUNTS = 100


def make(path, journal):
    """The database with its tables."""
    db = sqlite3.connect(path, isolation_level=None, timeout=120)
    db.execute(f'PRAGMA journal_mode={journal}')
    db.execute('PRAGMA synchronous=NORMAL')
    db.executescript('''
        BEGIN;
        CREATE TABLE IF NOT EXISTS state (n INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS moves (n INTEGER PRIMARY KEY, text TEXT, filler BLOB);
        CREATE INDEX IF NOT EXISTS moves_text ON moves (text);
        COMMIT;''')
    if not db.execute('SELECT * FROM state').fetchall():
        with db:
            db.execute('BEGIN')
            db.execute('INSERT INTO state VALUES (0)')
            db.executemany('INSERT INTO accounts VALUES (?, 1000)', [(i,) for i in range(ACCOUNTS)])
    return db


def move(db, n):
    """One transaction, without its end."""
    db.execute('BEGIN IMMEDIATE')
    db.execute('UPDATE accounts SET money = money - 1 WHERE id = ?', (n % ACCOUNTS,))
    db.execute('INSERT INTO moves VALUES (?, ?, randomblob(200))', (n, f'move {n % 1000}'))
    db.execute('UPDATE accounts SET money = money + 1 WHERE id = ?', ((n * 7 + 1) % ACCOUNTS,))
    db.execute('UPDATE state SET n = ?', (n,))


def main():
    path, journal, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
    db = make(path, journal)
    n = db.execute('SELECT n FROM state').fetchone()[0]
    print('ready', flush=True)
    begin = time.monotonic()
    for count in range(1 << 62):
        n += 1
        move(db, n)
        if 'die' in sys.argv and count == 200:
            # Pages of this transaction are on the disk, its end is not.
            db.execute('PRAGMA cache_size=1')
            db.execute('UPDATE moves SET filler = randomblob(200)')
            os.kill(os.getpid(), signal.SIGKILL)
        db.execute('COMMIT')
        ahead = begin + count / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


if __name__ == '__main__':
    main()
