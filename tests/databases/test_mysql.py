#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Dumps of a real MariaDB into archives and repositories, and back into a fresh server."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import certificates  # noqa: E402 pylint: disable=wrong-import-position
import mariadb  # noqa: E402 pylint: disable=wrong-import-position
from dumps import FORMATS, LONG, ROWS, TABLES, TOOL  # noqa: E402 pylint: disable=wrong-import-position
from dumps import DumpCase, Half, Writer  # noqa: E402 pylint: disable=wrong-import-position
from dumps import changes, full, held, written  # noqa: E402 pylint: disable=wrong-import-position

# Everything that the password of an option file could be misread by.
PASSWORD = 'p#"\' \\n;[client]=%ü'

# A column of every type, with values at their borders.
COLUMNS = '''
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d INT ZEROFILL, e BIGINT UNSIGNED,
    f DECIMAL(65, 30), g FLOAT, h DOUBLE, i BIT(64), j BOOLEAN,
    k DATE, l TIME(6), m DATETIME(6), n TIMESTAMP(6) NULL, o YEAR,
    p CHAR(255) CHARACTER SET utf8mb4, q VARCHAR(1000) CHARACTER SET latin1, r BINARY(16), s VARBINARY(300),
    t TINYBLOB, u BLOB, v MEDIUMBLOB, w LONGBLOB,
    x TINYTEXT, y TEXT CHARACTER SET utf8mb4, z MEDIUMTEXT, aa LONGTEXT,
    ab ENUM('', 'a''b', 'ü'), ac SET('x', 'y', 'z'), ad JSON, ae INET6, af INET4, ag UUID,
    ah POINT, ai GEOMETRY, aj LINESTRING, ak POLYGON,
    al INT AS (a + 1) VIRTUAL, am INT AS (a * 2) STORED, an INT INVISIBLE DEFAULT 7,
    INDEX (b), UNIQUE (e), FULLTEXT (y)'''

ROW = '''
    (-128, 65535, -8388608, 42, {id}, -12345678901234567890123456789.123456789012345678901234567891, 1.5e-30,
     1.7976931348623157e308, b'1010', TRUE, '1000-01-01', '-838:59:58.999999', '9999-12-31 23:59:59.999999',
     '2038-01-19 03:14:07', 1901, 'ü€𝄞 \\\\ '' " \\n', 'déjà', X'000102030405060708090a0b0c0d0e0f', {every},
     {every}, {every}, {every}, {every}, 'tiny', '-- Dump completed on nothing\\n', NULL, REPEAT('long ', 1000),
     'ü', 'x,z', '{{"a": [1, 2, {{"b": null}}]}}', '2001:db8::1', '192.0.2.1', UUID(),
     POINT(1, 2), ST_GeomFromText('MULTIPOINT(1 1, 2 2)'), ST_GeomFromText('LINESTRING(0 0, 1 1)'),
     ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))'))'''

INSERT = ('INSERT INTO {name} (a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,aa,ab,ac,ad,ae,af,ag,ah,ai,aj,'
          'ak) VALUES')


def schema(tables):
    """Statements that make a database of everything."""
    every = "X'" + bytes(range(255)).hex() + "'"
    for n in range(tables):
        yield f'CREATE TABLE t{n} ({COLUMNS}) COMMENT = "table {n}: \'-- /*!"'
        yield INSERT.format(name=f't{n}') + ROW.format(id=n, every=every)
        yield f'INSERT INTO t{n} (e, w) VALUES (NULL, NULL), (1000000, REPEAT({every}, 2000))'
    yield 'CREATE TABLE `odd ``name` (`a b` INT, `from` INT) ENGINE = InnoDB'
    yield ('CREATE TABLE child (id INT PRIMARY KEY, t BIGINT UNSIGNED, FOREIGN KEY (t) REFERENCES t0 (id)'
           ' ON DELETE CASCADE)')
    yield 'INSERT INTO child VALUES (1, 1)'
    yield ("CREATE TABLE parts (id INT, at DATE) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2000),"
           ' PARTITION p1 VALUES LESS THAN MAXVALUE)')
    yield "INSERT INTO parts VALUES (1, '1999-01-01'), (2, '2020-01-01')"
    yield 'CREATE TABLE versions (x INT) WITH SYSTEM VERSIONING'
    yield 'CREATE VIEW v AS SELECT id, a FROM t0 WHERE a < 0'
    yield 'CREATE VIEW a_view_of_v AS SELECT * FROM v'
    yield 'CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 7'
    yield 'SELECT NEXTVAL(numbers)'
    yield 'CREATE TABLE log (text TEXT)'
    yield "CREATE TRIGGER t0_added AFTER INSERT ON t0 FOR EACH ROW INSERT INTO log VALUES (concat('id;', NEW.id))"
    yield 'CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2'


def extra():
    """What needs another delimiter."""
    return ('DELIMITER //\n'
            'CREATE PROCEDURE count_all(OUT n INT) BEGIN DECLARE done INT; SELECT count(*) INTO n FROM t0; END//\n'
            'CREATE EVENT never ON SCHEDULE EVERY 1 YEAR STARTS \'2030-01-01 00:00:00\' DO BEGIN'
            ' DELETE FROM log; END//\n')


BANK = ('CREATE TABLE a (id INT PRIMARY KEY, n INT, v TEXT); CREATE TABLE b (n INT, v TEXT);'
        ' CREATE TABLE version (n INT); INSERT INTO version VALUES (0);'
        f' INSERT INTO a SELECT seq, 0, repeat(md5(seq), 30) FROM seq_1_to_{ROWS};\n')


def fill(server, database, tables=TABLES):
    server.sql(f'CREATE DATABASE `{database}` CHARACTER SET latin2 COLLATE latin2_czech_cs')
    server.sql(';\n'.join(schema(tables)) + ';\n' + extra(), database)


class Mysql(DumpCase):
    """One server that is backed up, one that is restored into."""

    user, password = 'backup', PASSWORD

    @classmethod
    def setUpClass(cls):
        if not mariadb.available():
            raise unittest.SkipTest('no MariaDB here')
        cls.authority = certificates.Authority()
        cls.addClassCleanup(cls.authority.close)
        certificate, key = cls.authority.sign('localhost', 'mysql')
        cls.server = mariadb.Server('--log-bin=binlog', '--server-id=1', f'--ssl-cert={certificate}',
                                    f'--ssl-key={key}').start()
        cls.addClassCleanup(cls.server.close)
        cls.fresh = mariadb.Server().start()
        cls.addClassCleanup(cls.fresh.close)
        fill(cls.server, 'shop')
        cls.server.sql('CREATE DATABASE `crm/2%.x`; CREATE TABLE `crm/2%.x`.t (x INT);'
                       ' INSERT INTO `crm/2%.x`.t VALUES (1), (2); CREATE DATABASE empty;'
                       " CREATE TABLE empty.m (x INT) ENGINE = MyISAM;")
        for server in (cls.server, cls.fresh):
            quoted = PASSWORD.replace('\\', '\\\\').replace("'", "\\'")
            server.sql(f"CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{quoted}';"
                       " GRANT ALL ON *.* TO backup@'127.0.0.1';"
                       " CREATE USER weak@'127.0.0.1' IDENTIFIED BY 'weak-secret';"
                       " GRANT SELECT, SHOW VIEW, EVENT, LOCK TABLES ON shop.* TO weak@'127.0.0.1'")

    def backup(self, *words, one_snapshot=False, **more):
        return super().backup(*words, source={'one_snapshot': True} if one_snapshot else None, **more)

    def objects(self, server, database):
        """All that is not rows, as the server describes it."""
        found = {}
        for kind, names in (('TABLE', "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}'"
                                      " AND table_type <> 'SEQUENCE'"),
                            ('SEQUENCE', "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}'"
                                         " AND table_type = 'SEQUENCE'"),
                            ('TRIGGER', "SELECT trigger_name FROM information_schema.triggers"
                                        " WHERE trigger_schema = '{}'"),
                            ('PROCEDURE', "SELECT routine_name FROM information_schema.routines WHERE"
                                          " routine_schema = '{}' AND routine_type = 'PROCEDURE'"),
                            ('FUNCTION', "SELECT routine_name FROM information_schema.routines WHERE"
                                         " routine_schema = '{}' AND routine_type = 'FUNCTION'"),
                            ('EVENT', "SELECT event_name FROM information_schema.events WHERE event_schema = '{}'")):
            for name in server.sql(names.format(database)).split('\n')[:-1]:
                quoted = name.replace('`', '``')
                text = server.sql(f'SHOW CREATE {kind} `{database}`.`{quoted}`')
                # Views and routines name their database, triggers when they were made.
                text = text.replace(f'`{database}`.', '').split('\t20')[0]
                found[kind, name] = text
        found['default'] = server.sql('SELECT default_character_set_name, default_collation_name FROM'
                                      f" information_schema.schemata WHERE schema_name = '{database}'")
        return found

    def test_there_and_back(self):
        """A database of everything, in both formats, restored into a fresh server under the same name and another."""
        expected, objects = self.server.checksums('shop'), self.objects(self.server, 'shop')
        self.assertGreater(len(expected), TABLES)
        for form in ('archive', 'repository'):
            place = self.place()
            result = self.backup(form, place, ['shop'])
            self.assertEqual(result['files'], 2)  # with the accounts
            for name in ('shop', f'copy of {form}') if LONG or form == 'archive' else ('shop',):
                self.restore(form, place, '/mysql/shop.sql', name, 'drop')
                self.assertEqual(self.fresh.checksums(name), expected)
                if name == 'shop':
                    self.assertEqual(self.objects(self.fresh, name), objects)
            self.assertEqual(self.fresh.sql('SELECT twice(21)', 'shop'), '42\n')

    def test_stock_tools(self):
        """Without us: zstd, tar and the client of the distribution; and where the binary log was."""
        place = self.place()
        self.backup('archive', place)
        script = f"set -o pipefail; zstd -qdc '{place}/run/data.tar.zst' | tar -xOf - mysql/shop.sql"
        dump = subprocess.run(['bash', '-c', script], check=True, capture_output=True).stdout
        self.assertTrue(dump.startswith(b'ALTER DATABASE CHARACTER SET = latin2 COLLATE = latin2_czech_cs;\n'))
        self.assertNotIn(b'999999', dump[:300])
        self.assertRegex(dump[:4000].decode(), "-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.0")
        self.fresh.sql('CREATE DATABASE stock')
        subprocess.run(['mariadb', '--no-defaults', '-uroot', '-S', self.fresh.socket, 'stock'], input=dump, check=True)
        self.assertEqual(self.fresh.checksums('stock'), self.server.checksums('shop'))

    def test_choice(self):
        """All, some by name, some by pattern; names that are no file names."""
        for databases, files in ((None, 4), (['shop', 'crm*'], 3), (['e?pty'], 2)):
            place = self.place()
            result = self.backup('archive', place, databases or ())
            self.assertEqual(result['files'], files, databases)
        self.backup('archive', self.place(), ['nosuch'], code='DATABASE_MISSING')
        self.backup('archive', self.place(), ['no*such'], code='SOURCE_EMPTY')
        place = self.place()
        self.backup('repository', place)
        self.restore('repository', place, '/mysql/crm%2F2%25.x.sql', 'crm', 'drop')
        self.assertEqual(self.fresh.sql('SELECT sum(x) FROM crm.t'), '3\n')

    def test_accounts(self):
        """Accounts, roles and rights, as SQL; left out where the user may not read them."""
        odd = "'o''dd'@'10.%'"
        self.server.sql('CREATE ROLE clerk; GRANT SELECT (x), INSERT ON `crm/2%.x`.t TO clerk;'
                        f" CREATE USER {odd} IDENTIFIED BY 'x' REQUIRE SSL; GRANT clerk TO {odd} WITH ADMIN OPTION;"
                        f" SET DEFAULT ROLE clerk FOR {odd}; CREATE USER part@'127.0.0.1' IDENTIFIED BY 'part-secret';"
                        " GRANT TRIGGER ON *.* TO part@'127.0.0.1'; GRANT SELECT ON mysql.proc TO part@'127.0.0.1';"
                        " GRANT SELECT, SHOW VIEW, EVENT, LOCK TABLES ON empty.* TO part@'127.0.0.1'")
        place = self.place()
        self.backup('archive', place, ['crm*'])
        script = f"set -o pipefail; zstd -qdc '{place}/run/data.tar.zst' | tar -xOf - mysql/accounts"
        accounts = subprocess.run(['bash', '-c', script], check=True, capture_output=True).stdout
        self.fresh.sql('CREATE DATABASE IF NOT EXISTS `crm/2%.x`; CREATE TABLE IF NOT EXISTS `crm/2%.x`.t (x INT)')
        self.fresh.sql(accounts.decode())
        for asked in (f'GRANTS FOR {odd}', f'CREATE USER {odd}', 'GRANTS FOR clerk', "GRANTS FOR part@'127.0.0.1'"):
            self.assertEqual(self.fresh.sql('SHOW ' + asked), self.server.sql('SHOW ' + asked))
        self.fresh.sql("DROP DATABASE `crm/2%.x`")
        result = self.backup('archive', self.place(), ['empty'], user='part', password='part-secret')
        self.assertEqual(result['files'], 1)

    def test_existing(self):
        """What is there stays, unless it is to be dropped; an error stops with its line."""
        place = self.place()
        self.backup('archive', place, ['crm*'])
        path = '/mysql/crm%2F2%25.x.sql'
        self.fresh.sql('CREATE DATABASE old; CREATE TABLE old.mine (x INT)')
        self.restore('archive', place, path, 'old', code='DATABASE_EXISTS')
        self.assertEqual(self.fresh.sql('SHOW TABLES FROM old'), 'mine\n')
        self.restore('archive', place, path, 'old', 'drop')
        self.assertEqual(self.fresh.sql('SHOW TABLES FROM old'), 't\n')
        # A backup that cannot be read does not cost what it was to replace.
        self.restore('archive', place, '/mysql/none.sql', 'new', code='PATH_NOT_FOUND')
        self.restore('archive', place, '/mysql/none.sql', 'old', 'drop', code='PATH_NOT_FOUND')
        self.assertEqual(self.fresh.sql("SHOW DATABASES LIKE 'new'; SHOW TABLES FROM old"), 't\n')

    def test_refused(self):
        """Wrong password, missing rights, missing, foreign and old tools: a sentence before anything is stored."""
        self.backup('archive', self.place(), password='wrong', code='LOGIN_REFUSED')
        self.backup('archive', self.place(), user='weak', password='weak-secret', code='PRIVILEGE_MISSING')
        self.backup('archive', self.place(), ['shop'], user='weak', password='weak-secret', code='PRIVILEGE_MISSING')
        self.backup('archive', self.place(), TOOLS=self.folder, code='TOOL_MISSING')
        for says in ('mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)',
                     'mysqldump  Ver 10.19 Distrib 10.5.2-MariaDB, for debian-linux-gnu (x86_64)'):
            tools = self.place()
            with open(tools + '/mysqldump', 'w', encoding='utf-8') as file:
                file.write(f'#!/bin/sh\necho "{says}"\n')
            os.chmod(tools + '/mysqldump', 0o755)
            self.assertIn(tools, self.backup('archive', self.place(), TOOLS=tools, code='TOOL_MISMATCH')['message'])

    def test_logins(self):
        """The ways to log in that do not send the password, through the library and the dump program."""
        self.server.sql("INSTALL SONAME 'auth_ed25519'; CREATE USER modern@'127.0.0.1' IDENTIFIED VIA ed25519 USING"
                        " PASSWORD('modern-secret'); GRANT ALL ON *.* TO modern@'127.0.0.1'")
        self.backup('archive', self.place(), ['empty'], user='modern', password='modern-secret')
        self.backup('archive', self.place(), ['empty'], user='modern', password='wrong', code='LOGIN_REFUSED')
        if os.geteuid() != 0:
            return
        self.server.sql('CREATE USER nobody@localhost IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO nobody@localhost')
        source = json.dumps({'server': {'socket': self.server.socket, 'user': 'nobody'}, 'databases': ['empty']})
        place = self.place()
        for path in (place, self.folder):
            shutil.chown(path, 'nobody')
        subprocess.run(['setpriv', '--reuid=nobody', '--clear-groups', '--inh-caps=-all,+dac_read_search',
                        '--ambient-caps=-all,+dac_read_search', TOOL, 'backup', 'archive', place, source],
                       check=True, capture_output=True)
        self.run_tool('backup', 'archive', self.place(), source, code='LOGIN_REFUSED')

    def tls_cases(self, right):
        """(what is asked for, whether the server is one that is asked for)."""
        stranger = certificates.Authority()
        self.addCleanup(stranger.close)
        return (({'tls': 'require'}, True), (right, True),
                ({**right, 'host': '127.0.0.1'}, False),  # no name of the certificate
                ({**right, 'tls_ca': stranger.path}, False),
                ({**right, 'tls_ca': '/nowhere.pem'}, False),
                ({'host': 'localhost', 'tls': 'verify'}, False))  # this machine does not trust the authority

    def test_tls(self):
        """What is asked for is had: a way that is sealed, to the server of that name. Otherwise nothing is read nor
        stored; the sentence has the reason."""
        self.server.sql("CREATE USER sealed@'127.0.0.1' IDENTIFIED BY 'sealed-secret' REQUIRE SSL;"
                        " GRANT ALL ON *.* TO sealed@'127.0.0.1'")
        more = {'user': 'sealed', 'password': 'sealed-secret'}
        self.backup('archive', self.place(), ['empty'], code='LOGIN_REFUSED', **more)  # in the clear
        right = {'host': 'localhost', 'tls': 'verify', 'tls_ca': self.authority.path}
        for tls, good in self.tls_cases(right):
            told = self.backup('archive', self.place(), ['empty'], tls=tls, code=None if good else 'SERVER_UNREACHABLE',
                               **more)
            if not good:
                self.assertIn('TLS', told['message'], tls)
        for tls, reason in (({'tls': 'require'}, 'has no TLS, which is required'), (right, 'SSL is required')):
            told = self.backup('archive', self.place(), server=self.fresh, tls=tls, code='SERVER_UNREACHABLE')
            self.assertIn(reason, told['message'])

    def test_tls_of_the_programs(self):
        """They look for themselves: what the library found out may be another server a moment later."""
        right = {'host': 'localhost', 'tls': 'verify', 'tls_ca': self.authority.path}
        place = self.place()
        self.backup('archive', place, ['crm*'], tls=right)
        name = 'crm%2F2%25.x'
        self.restore('archive', place, f'/mysql/{name}.sql', 'over tls', server=self.server, tls=right)
        self.assertEqual(self.server.sql('SELECT sum(x) FROM `over tls`.t; DROP DATABASE `over tls`'), '3\n')
        self.restore('archive', place, f'/mysql/{name}.sql', 'over tls', server=self.server,
                     tls={**right, 'host': '127.0.0.1'}, code='SERVER_UNREACHABLE')
        tools = self.fake_dump('exec mariadb-dump "$1" --host=127.0.0.1 "${@:2}"')
        told = self.backup('archive', self.place(), ['empty'], tls=right, TOOLS=tools, code='DUMP_FAILED')
        self.assertIn('TLS', told['message'])
        # Without a look at the name, that very way is one.
        self.backup('archive', self.place(), ['empty'], tls={'host': 'localhost', 'tls': 'require'}, TOOLS=tools)

    def fake_dump(self, script):
        """A dump program of the right version that does this."""
        tools = self.place()
        with open(tools + '/mariadb-dump', 'w', encoding='utf-8') as file:
            file.write('#!/bin/bash\nset -o pipefail\n[ "$1" = --version ] && exec mariadb-dump --version\n' + script)
        os.chmod(tools + '/mariadb-dump', 0o755)
        return tools

    def test_no_green_without_an_end(self):
        """Exit status and trailer are both needed, in both formats."""
        begin = 'mariadb-dump "$@" >"$0.out"; head -c 100000 "$0.out"'
        for script, code, forms in (('mariadb-dump "$@"; exit 2', 'DUMP_FAILED', FORMATS),
                                    (begin, 'DUMP_INCOMPLETE', FORMATS),
                                    (f'{begin}; echo "it broke" >&2; exit 3', 'DUMP_FAILED', FORMATS[:1]),
                                    (f'{begin}; kill -9 $$', 'DUMP_FAILED', FORMATS[:1]),
                                    ('true', 'DUMP_INCOMPLETE', FORMATS[:1])):
            for form in FORMATS if LONG else forms:
                result = self.backup(form, self.place(), ['shop'], TOOLS=self.fake_dump(script), code=code)
                if 'broke' in script:
                    self.assertIn('it broke', result['message'])
                self.assertIn("'shop'", result['message'])

    def test_secret(self):
        """The password is in no argument list, no environment and no file while a dump runs."""
        seen = self.folder + '/seen'
        tools = self.fake_dump(f'{{ tr "\\0" "\\n" </proc/$$/cmdline; tr "\\0" "\\n" </proc/$$/environ;'
                               f' ls -lL /proc/self/fd/3; }} >{seen}; exec mariadb-dump "$@"')
        self.backup('archive', self.place(), ['empty'], TOOLS=tools)
        with open(seen, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('--defaults-file', text)
        self.assertRegex(text, '-r--------')
        self.assertNotIn(PASSWORD, text)
        self.assertNotIn('p#', text)

    def test_server_killed(self):
        """In mid-dump: failed, with the reason, and nothing under a final name."""
        server = mariadb.Server().start()
        self.addCleanup(server.close)
        quoted = PASSWORD.replace('\\', '\\\\').replace("'", "\\'")
        server.sql('CREATE DATABASE big; CREATE TABLE big.t (a INT, b LONGBLOB);'
                   f" CREATE USER backup@'127.0.0.1' IDENTIFIED BY '{quoted}'; GRANT ALL ON *.* TO backup@'127.0.0.1'")
        server.sql('INSERT INTO t SELECT seq, repeat(sha2(seq, 512), 8000) FROM seq_1_to_20', 'big')
        mark = self.folder + '/mark'
        tools = self.fake_dump(held('mariadb-dump', mark))
        for form in FORMATS:
            with Half(mark, server.kill):
                result = self.backup(form, self.place(), ['big'], server=server, TOOLS=tools, code='DUMP_FAILED')
            self.assertIn("'big'", result['message'])
            self.assertIn('Lost connection', result['message'])
            server.start()

    @unittest.skipUnless(os.geteuid() == 0, 'only root may mount')
    def test_full_target(self):
        """Failed, with the reason, and nothing under a final name."""
        self.server.sql('CREATE DATABASE large')
        self.server.sql('CREATE TABLE t AS SELECT sha2(seq, 512) x FROM seq_1_to_30000', 'large')
        for form in FORMATS:
            place = self.place()
            with full(place):
                told = self.backup(form, place, ['large'], code='STORAGE_FULL')
            self.assertIn('no space left', told['message'])

    def test_constant_writes(self):
        """Every table is as it was at one moment, whatever was written meanwhile."""
        self.server.sql('CREATE DATABASE bank')
        self.server.sql(BANK, 'bank')
        mark = self.folder + '/mark'
        tools = self.fake_dump(held('mariadb-dump', mark))

        def count():
            return int(self.server.sql('SELECT n FROM bank.version'))

        with Writer(['mariadb', '--no-defaults', '-uroot', '-S', self.server.socket, 'bank']):
            for form in FORMATS:
                place = self.place()
                with Half(mark, lambda: written(count)):
                    self.check_memory(self.backup(form, place, ['bank'], TOOLS=tools))
                self.check_memory(self.restore(form, place, '/mysql/bank.sql', 'bank', 'drop'))
                n = int(self.fresh.sql('SELECT n FROM version', 'bank'))
                self.fresh.sql('DROP DATABASE IF EXISTS expected; CREATE DATABASE expected')
                self.fresh.sql(BANK + changes(n), 'expected')
                self.assertEqual(self.fresh.checksums('bank'), self.fresh.checksums('expected'))

    # --- One snapshot of all databases ---

    def test_one_snapshot_under_writes(self):
        """Each change is in both databases, or in none; dumped one after the other they are of two moments."""
        self.server.sql('CREATE DATABASE pair; CREATE DATABASE pair2; CREATE TABLE pair2.version (n INT);'
                        ' INSERT INTO pair2.version VALUES (0)')
        self.addCleanup(self.server.sql, 'DROP DATABASE pair; DROP DATABASE pair2')
        self.server.sql(BANK + 'CREATE TRIGGER both_of_them AFTER UPDATE ON version FOR EACH ROW'
                        ' UPDATE pair2.version SET n = NEW.n', 'pair')
        mark = self.folder + '/mark'
        tools = self.fake_dump('case " $* " in *" --no-data "*) ;; *" --databases "*|*" -- pair ")'
                               f' {held("mariadb-dump", mark)}; exit;; esac; exec mariadb-dump "$@"')

        def count():
            return int(self.server.sql('SELECT n FROM pair2.version'))

        with Writer(['mariadb', '--no-defaults', '-uroot', '-S', self.server.socket, 'pair']):
            for form, one in (('archive', True), ('archive', False), *([('repository', True)] if LONG else [])):
                place = self.place()
                with Half(mark, lambda: written(count)):
                    self.check_memory(self.backup(form, place, ['pair', 'pair2'], TOOLS=tools, one_snapshot=one))
                folder = '/mysql/tables' if one else '/mysql'
                self.fresh.sql('DROP DATABASE IF EXISTS pair; DROP DATABASE IF EXISTS pair2')
                for name in ('pair', 'pair2'):
                    self.restore(form, place, f'{folder}/{name}.sql', name)
                left, right = (int(self.fresh.sql(f'SELECT n FROM {name}.version')) for name in ('pair', 'pair2'))
                if not one:
                    self.assertGreaterEqual(right, left + 20)
                    continue
                self.assertEqual(left, right)
                self.fresh.sql('DROP DATABASE IF EXISTS expected; CREATE DATABASE expected')
                self.fresh.sql(BANK + changes(left), 'expected')
                self.assertEqual(self.fresh.checksums('pair'), self.fresh.checksums('expected'))

    def make_three(self):
        """Databases with views across them, and one whose names and texts read like the marks of a dump."""
        mark = '\n--\n-- Current Database: `two`\n--\n\nUSE `two`;\n'
        name, text = mark.replace('`', '``') + 'x', mark.replace('\n', '\\n')
        self.server.sql('CREATE DATABASE one CHARACTER SET latin2; CREATE DATABASE two; CREATE DATABASE `odd ``x`')
        self.addCleanup(self.server.sql, 'DROP DATABASE one; DROP DATABASE two; DROP DATABASE `odd ``x`')
        self.server.sql('CREATE TABLE t (x INT); INSERT INTO t VALUES (1), (2); CREATE TABLE log (x INT);'
                        ' CREATE TRIGGER added AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.x);'
                        ' CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;'
                        ' CREATE VIEW doubled AS SELECT twice(x) AS y FROM t;'
                        ' CREATE SEQUENCE numbers START WITH 100', 'one')
        self.server.sql('CREATE TABLE u (x INT); INSERT INTO u VALUES (2); CREATE VIEW across AS'
                        ' SELECT u.x FROM u JOIN one.t ON u.x = t.x', 'two')
        self.server.sql(f"CREATE TABLE w (x INT COMMENT '{text}', `{name}` INT, y VARCHAR(200) DEFAULT '{text}',"
                        f" z VARCHAR(200) AS (concat(y, '{text}')), CHECK (y <> concat('{text}', 'x')),"
                        f" d ENUM('{text}')) COMMENT = '{text}' PARTITION BY LIST (x) (PARTITION `{name}` VALUES IN"
                        f" (1) COMMENT = '{text}', PARTITION p2 VALUES IN (2)); CREATE TABLE `{name}` (x INT);"
                        f" CREATE VIEW `{name}x` AS SELECT '{text}' AS `{name}`;"
                        f" INSERT INTO w (x, y, d) VALUES (1, '{text}', '{text}')", 'odd `x')
        return ('SHOW CREATE TABLE w; SELECT * FROM w; SELECT table_name FROM information_schema.tables WHERE'
                f" table_schema = database() ORDER BY 1; SHOW CREATE TABLE `{name}`; SELECT * FROM `{name}x`")

    def test_one_snapshot_there_and_back(self):
        """Each database by itself, whatever is in it, with what belongs to it; also beside the old one."""
        asked, names = self.make_three(), ('one', 'two', 'odd `x')
        for form in FORMATS if LONG else FORMATS[:1]:
            place = self.place()
            self.assertEqual(self.backup(form, place, names, one_snapshot=True)['files'], 10)
            for name in names:
                self.restore(form, place, f'/mysql/tables/{name}.sql', name, 'drop')
                if name != 'odd `x':
                    self.assertEqual(self.fresh.checksums(name), self.server.checksums(name))
                    self.assertEqual(self.objects(self.fresh, name), self.objects(self.server, name))
            self.assertEqual(self.fresh.sql(asked, 'odd `x'), self.server.sql(asked, 'odd `x'))
            self.assertEqual(self.fresh.sql('SELECT x FROM two.across; SELECT sum(y) FROM one.doubled;'
                                            ' SELECT count(*) FROM one.log'), '2\n6\n0\n')
            self.fresh.sql('INSERT INTO one.t VALUES (3)')
            self.restore(form, place, '/mysql/tables/one.sql', 'beside', 'drop')
            self.assertEqual(self.fresh.sql('SELECT sum(y) FROM beside.doubled; SELECT sum(y) FROM one.doubled;'
                                            ' INSERT INTO beside.t VALUES (9); SELECT x FROM beside.log'),
                             '6\n12\n9\n')

    def test_one_snapshot_with_stock_tools(self):
        """Three streams in their order, and the place in the binary log in front."""
        self.make_three()
        place = self.place()
        self.backup('archive', place, ['one', 'two', 'odd*'], one_snapshot=True)
        script = (f"set -o pipefail; for part in tables routines views; do zstd -qdc '{place}/run/data.tar.zst' |"
                  ' tar -xOf - mysql/$part/one.sql || exit; done')
        dump = subprocess.run(['bash', '-c', script], check=True, capture_output=True).stdout
        self.assertTrue(dump.startswith(b'ALTER DATABASE CHARACTER SET = latin2 '))
        self.assertRegex(dump[:4000].decode(), "-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.0")
        self.assertNotIn(b'\nUSE ', dump)
        self.assertNotIn(b'999999', dump)
        self.fresh.sql('CREATE DATABASE IF NOT EXISTS stock_one')
        subprocess.run(['mariadb', '--no-defaults', '-uroot', '-S', self.fresh.socket, 'stock_one'], input=dump,
                       check=True)
        self.assertEqual(self.fresh.checksums('stock_one'), self.server.checksums('one'))
        self.assertEqual(self.fresh.sql('SELECT sum(y) FROM stock_one.doubled'), '6\n')

    def test_one_snapshot_without_views(self):
        """Nothing is stored of what is not there, and nothing of it is missed."""
        for form in FORMATS:
            place = self.place()
            self.assertEqual(self.backup(form, place, ['empty', 'crm*'], one_snapshot=True)['files'], 5)
            self.restore(form, place, '/mysql/tables/crm%2F2%25.x.sql', 'crm', 'drop')
            self.assertEqual(self.fresh.sql('SELECT sum(x) FROM crm.t'), '3\n')
            self.restore(form, place, '/mysql/tables/none.sql', 'crm', 'drop',
                         code='PATH_NOT_FOUND' if form == 'archive' else 'PATH_MISSING')
            self.assertEqual(self.fresh.sql('SELECT sum(x) FROM crm.t'), '3\n')

    def test_one_snapshot_is_whole_or_none(self):
        """A program that fails, ends early, or says something else than it should; a database that goes."""
        self.make_three()
        self.server.sql('CREATE DATABASE zzz; CREATE TABLE zzz.t (x INT)')
        drop = f'mariadb --no-defaults -uroot -S {self.server.socket} -e "DROP DATABASE IF EXISTS zzz"'
        for script, code in (
            ('mariadb-dump "$@"; exit 2', 'DUMP_FAILED'),
            ('mariadb-dump "$@" | grep -v "^-- Dump completed"; exit 0', 'DUMP_INCOMPLETE'),
            ('mariadb-dump "$@" >"$0.out"; head -c 1000 "$0.out"', 'DUMP_INCOMPLETE'),
            ("mariadb-dump \"$@\" | sed 's/Current Database: `two`/Current Database: `tow`/'", 'DUMP_INVALID'),
            ("mariadb-dump \"$@\" | sed 's/^USE `two`/USE `one`/'", 'DUMP_INVALID'),
            ('mariadb-dump "${@/#two/one}"', 'DUMP_INVALID'),
            ('echo; echo "-- Dump completed"', 'DUMP_INVALID'),
            (f'{drop}; exec mariadb-dump "$@"', 'DUMP_FAILED'),
        ):
            tools = self.fake_dump(f'case " $* " in *" --no-data "*) exec mariadb-dump "$@";; esac\n{script}')
            told = self.backup('archive', self.place(), ['one', 'two', 'zzz'], TOOLS=tools, code=code,
                               one_snapshot=True)
            self.assertIn('databases', told['message'], script)


if __name__ == '__main__':
    unittest.main()
