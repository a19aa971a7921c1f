#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Dumps of a real PostgreSQL into archives and repositories, and back into a fresh server."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib')]

import certificates  # noqa: E402 pylint: disable=wrong-import-position
import npm  # noqa: E402 pylint: disable=wrong-import-position
import postgres  # noqa: E402 pylint: disable=wrong-import-position
from dumps import FORMATS, LONG, ROWS, TABLES  # noqa: E402 pylint: disable=wrong-import-position
from dumps import DumpCase, Half, Writer  # noqa: E402 pylint: disable=wrong-import-position
from dumps import changes, full, held, written  # noqa: E402 pylint: disable=wrong-import-position
from postgres import PASSWORD  # noqa: E402 pylint: disable=wrong-import-position

BEFORE = r'''
CREATE EXTENSION hstore; CREATE EXTENSION pgcrypto;
CREATE SCHEMA "odd ""schema";
CREATE TYPE mood AS ENUM ('sad', 'ok''ay', 'ü');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE COLLATION german (provider = icu, locale = 'de-DE');
'''

TABLE = r'''
CREATE TABLE t{n} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    a smallint, b integer, c bigint, d numeric(60, 20), e real, f double precision, g boolean, h money,
    i char(10), j varchar(100), k text, l bytea, m date, n time(6), o timetz, p timestamp(6), q timestamptz,
    r interval, s uuid, t json, u jsonb, v xml, w inet, x cidr, y macaddr, z macaddr8, aa bit(5), ab varbit,
    ac point, ad line, ae lseg, af box, ag path, ah polygon, ai circle, aj tsvector, ak tsquery, al int[],
    am text[][], an int4range, ao tstzrange, ap nummultirange, aq mood, ar pair, "a s" positive, at hstore,
    au pg_lsn, av oid, aw regclass, ax "char", ay name, az text COLLATE german,
    ba int GENERATED ALWAYS AS (b * 2) STORED, UNIQUE (c));
COMMENT ON TABLE t{n} IS 'table {n}: ''-- \';
INSERT INTO t{n} (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad, ae,
    af, ag, ah, ai, aj, ak, al, am, an, ao, ap, aq, ar, "a s", at, au, av, aw, ax, ay, az)
VALUES (-32768, 2147483, -9223372036854775808, 12345678901234567890.12345678901234567890, 1.5e-30,
    'NaN', true, '12.34', 'pad', 'déjà', E'\\.\nline\ttab\\N \u20ac 𝄞', decode('{every}', 'hex'), '4713-01-01 BC',
    '23:59:59.999999', '12:00+13:30', 'infinity', '2024-02-29 12:00:00.123456+02', '-178000000 years 3 days',
    gen_random_uuid(), '{{"a":  1, "a": 2}}', '{{"b": [null, 1e3]}}', '<x>&amp;</x>', '2001:db8::1/64', '10.0.0.0/8',
    '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'1', '(1,2)', '{{1,2,3}}', '[(0,0),(1,1)]',
    '((0,0),(1,1))', '[(0,0),(1,1)]', '((0,0),(1,0),(1,1))', '<(0,0),1>', 'a:1A b:2', 'a & !b', '{{1,NULL,3}}',
    '{{{{a,"b,"}},{{"{{",NULL}}}}', '[1,10)', '[2024-01-01,)', '{{[1,2),[5,6)}}', 'ok''ay', ROW(1, 'x,"y'), 7,
    'a=>1, b=>NULL', '16/B374D848', 42, 'pg_class', 'x', 'a name', 'Öl');
INSERT INTO t{n} (k) VALUES (repeat('long ', 20000)), (NULL);
CREATE INDEX ON t{n} USING gin (u); CREATE INDEX ON t{n} (lower(k)) WHERE g;
'''

AFTER = r'''
CREATE TABLE "odd ""schema"."odd ""table" ("from" int, "a b" int);
INSERT INTO "odd ""schema"."odd ""table" VALUES (1, 2);
CREATE TABLE child (id int PRIMARY KEY, t bigint REFERENCES t0 (id) ON DELETE CASCADE DEFERRABLE);
INSERT INTO child VALUES (1, 1);
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
CREATE TABLE parts_new PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES (1, '1999-01-01'), (2, '2020-01-01');
CREATE TABLE heir (extra text) INHERITS (child);
CREATE UNLOGGED TABLE unlogged (x int); INSERT INTO unlogged VALUES (1);
CREATE VIEW v AS SELECT id, a FROM t0 WHERE a < 0; CREATE VIEW a_view_of_v AS SELECT * FROM v;
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t0;
CREATE SEQUENCE numbers START 100 INCREMENT 7; SELECT nextval('numbers');
CREATE TABLE log (text text);
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE PROCEDURE clear_log() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM log; END $$;
CREATE FUNCTION added() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO log VALUES ('id;' || NEW.id); RETURN NEW; END $$;
CREATE TRIGGER t0_added AFTER INSERT ON t0 FOR EACH ROW EXECUTE FUNCTION added();
CREATE AGGREGATE mul(int) (sfunc = int4mul, stype = int, initcond = '1');
ALTER TABLE log ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON log USING (text = current_user);
GRANT SELECT (id, a) ON t0 TO reader; GRANT USAGE ON SCHEMA "odd ""schema" TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
CREATE PUBLICATION pub FOR TABLE child;
SELECT lo_from_bytea(70001, decode('{every}', 'hex')); SELECT lo_from_bytea(70002, repeat('large', 100000)::bytea);
GRANT SELECT ON LARGE OBJECT 70001 TO reader; COMMENT ON LARGE OBJECT 70002 IS 'large';
'''


BANK = ('CREATE TABLE a (id int PRIMARY KEY, n int, v text); CREATE TABLE b (n int, v text);'
        ' CREATE TABLE version (n int); INSERT INTO version VALUES (0);'
        f' INSERT INTO a SELECT g, 0, repeat(md5(g::text), 30) FROM generate_series(1, {ROWS}) g;\n')


def schema(tables):
    """Statements that make a database of everything."""
    every = bytes(range(256)).hex()
    return BEFORE + ''.join(TABLE.format(n=n, every=every) for n in range(tables)) + AFTER.replace('{every}', every)


class Postgresql(DumpCase):
    """One server that is backed up, one that is restored into."""

    kind, user, password = 'pg-', 'postgres', PASSWORD

    @classmethod
    def setUpClass(cls):
        if not postgres.available():
            raise unittest.SkipTest('no PostgreSQL here')
        cls.authority = certificates.Authority()
        cls.addClassCleanup(cls.authority.close)
        certificate, key = cls.authority.sign('localhost', 'postgres')
        cls.server, cls.fresh = servers = [
            postgres.Server('ssl=on', f'ssl_cert_file={certificate}', f'ssl_key_file={key}'), postgres.Server()]
        for server in servers:
            cls.addClassCleanup(server.close)
            server.admit('hostnossl all sealed all reject')
            server.start()
            server.sql('CREATE ROLE reader; CREATE ROLE owner; CREATE ROLE weak LOGIN PASSWORD \'weak-secret\';'
                       ' CREATE ROLE sealed LOGIN SUPERUSER PASSWORD \'sealed-secret\'')
        cls.server.sql("CREATE DATABASE shop OWNER owner ENCODING 'LATIN9' LOCALE 'C' TEMPLATE template0")
        cls.server.sql("CREATE DATABASE main; CREATE DATABASE \"crm/2%.x'\"\" y\"; CREATE DATABASE closed"
                       ' ALLOW_CONNECTIONS false')
        cls.server.sql(schema(TABLES), 'main')
        cls.server.sql('CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)', 'crm/2%.x\'" y')
        cls.server.sql("CREATE TABLE t (x text); INSERT INTO t VALUES ('é€')", 'shop')

    def test_there_and_back(self):
        """A database of everything, in both formats, into a fresh server under its name and another."""
        expected, objects = self.server.checksums('main'), self.server.schema('main')
        self.assertGreater(len(expected), TABLES)
        for form in ('archive', 'repository'):
            place = self.place()
            self.assertEqual(self.backup(form, place, ['main'])['files'], 2)
            for name in ('main', f'copy of {form}'):
                self.restore(form, place, '/postgresql/main.dump', name, 'drop')
                self.assertEqual(self.fresh.checksums(name), expected)
                self.assertEqual(self.fresh.schema(name), objects)
            self.assertEqual(self.fresh.sql('SELECT twice(21)', 'main'), '42\n')

    def test_stock_tools(self):
        """Without us: zstd, tar and pg_restore; roles as SQL."""
        place = self.place()
        self.backup('archive', place, ['shop'])
        read = f"set -o pipefail; zstd -qdc '{place}/run/data.tar.zst' | tar -xOf - postgresql/"
        self.fresh.sql('DROP DATABASE IF EXISTS shop')
        dump = subprocess.run(['bash', '-c', read + 'shop.dump'], check=True, capture_output=True).stdout
        with open(self.fresh.folder + '/shop.dump', 'wb') as file:
            file.write(dump)
        self.fresh.run('pg_restore', '-h', self.fresh.folder, '-p', str(self.fresh.port), '-U', 'postgres', '--create',
                       '--dbname=postgres', '--exit-on-error', self.fresh.folder + '/shop.dump')
        self.assertEqual(self.fresh.checksums('shop'), self.server.checksums('shop'))
        roles = subprocess.run(['bash', '-c', read + 'globals.sql'], check=True, capture_output=True).stdout.decode()
        self.assertIn('CREATE ROLE reader;', roles)
        self.assertRegex(roles, r"ALTER ROLE weak WITH .* PASSWORD 'SCRAM-SHA-256\$")

    def test_choice(self):
        """All, some by name, some by pattern; names that are no file names; encodings that are not the usual one."""
        for databases, files in ((None, 5), (['shop', 'crm*'], 3), (['m?in'], 2)):
            self.assertEqual(self.backup('archive', self.place(), databases or ())['files'], files, databases)
        self.backup('archive', self.place(), ['nosuch'], code='DATABASE_MISSING')
        self.backup('archive', self.place(), ['closed'], code='DATABASE_MISSING')
        self.backup('archive', self.place(), ['no*such'], code='SOURCE_EMPTY')
        place = self.place()
        self.backup('repository', place)
        self.restore('repository', place, '/postgresql/crm%2F2%25.x\'" y.dump', 'crm \'"', 'drop')
        self.assertEqual(self.fresh.sql('SELECT sum(x) FROM t', 'crm \'"'), '3\n')
        self.restore('repository', place, '/postgresql/shop.dump', 'latin', 'drop')
        self.assertEqual(self.fresh.facts('latin'), 'LATIN9|C|C\n')
        self.assertEqual(self.fresh.checksums('latin'), self.server.checksums('shop'))

    def test_parts(self):
        """One table, and one schema, beside what is there."""
        place = self.place()
        self.backup('archive', place, ['main'])
        self.fresh.sql('DROP DATABASE IF EXISTS part; CREATE DATABASE part')
        self.fresh.sql('CREATE TABLE mine (x int); CREATE SCHEMA "odd ""schema"', 'part')
        self.restore('archive', place, '/postgresql/main.dump', 'part', 'table', 'parts_old', 'table', 'log')
        self.assertEqual(self.fresh.sql('SELECT count(*) FROM parts_old; SELECT count(*) FROM mine', 'part'), '1\n0\n')
        self.restore('archive', place, '/postgresql/main.dump', 'part', 'schema', 'odd "schema')
        self.assertEqual(self.fresh.sql('SELECT "a b" FROM "odd ""schema"."odd ""table"', 'part'), '2\n')

    def test_existing(self):
        """What is there stays, unless it is to be dropped; an error takes everything back."""
        place = self.place()
        self.backup('archive', place, ['shop'])
        path = '/postgresql/shop.dump'
        self.fresh.sql('DROP DATABASE IF EXISTS old; CREATE DATABASE old')
        self.fresh.sql('CREATE TABLE mine (x int)', 'old')
        self.restore('archive', place, path, 'old', code='DATABASE_EXISTS')
        # A backup that cannot be read does not cost what it was to replace.
        self.restore('archive', place, '/postgresql/none.dump', 'old', 'drop', code='PATH_NOT_FOUND')
        self.restore('archive', place, '/postgresql/globals.sql', 'old', 'drop', code='DUMP_FOREIGN')
        self.assertEqual(self.fresh.sql('SELECT count(*) FROM mine', 'old'), '0\n')
        self.restore('archive', place, path, 'old', 'drop')
        self.assertEqual(self.fresh.sql('SELECT count(*) FROM t', 'old'), '1\n')
        self.restore('archive', place, path, 'old', 'table', 't', code='RESTORE_FAILED')
        self.assertEqual(self.fresh.sql('SELECT count(*) FROM t', 'old'), '1\n')

    def test_roles(self):
        """Owners that the other server does not know are an error, or left out when that is asked for."""
        self.server.sql('CREATE ROLE gone; CREATE DATABASE owned OWNER gone')
        self.server.sql('CREATE TABLE t (x int); ALTER TABLE t OWNER TO gone', 'owned')
        place = self.place()
        self.backup('archive', place, ['owned'])
        told = self.restore('archive', place, '/postgresql/owned.dump', 'owned', code='RESTORE_FAILED')
        self.assertIn('"gone"', told['message'])
        self.restore('archive', place, '/postgresql/owned.dump', 'owned', 'drop', 'owners')
        owner = self.fresh.sql("SELECT tableowner FROM pg_tables WHERE tablename = 't'", 'owned')
        self.assertEqual(owner, 'postgres\n')
        self.server.sql('DROP DATABASE owned; DROP ROLE gone')

    def test_refused(self):
        """Wrong password, missing rights, missing and old tools: a sentence, and nothing stored."""
        self.backup('archive', self.place(), password='wrong', code='LOGIN_REFUSED')
        told = self.backup('archive', self.place(), ['main'], user='weak', password='weak-secret', code='DUMP_FAILED')
        self.assertIn('permission denied', told['message'])
        self.backup('archive', self.place(), TOOLS=self.folder, VERSIONS=self.folder, code='TOOL_MISSING')
        tools = self.place()
        with open(tools + '/pg_dump', 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\necho "pg_dump (PostgreSQL) 12.3 (Debian 12.3-1)"\n')
        os.chmod(tools + '/pg_dump', 0o755)
        self.assertIn(tools, self.backup('archive', self.place(), TOOLS=tools, VERSIONS=self.folder,
                                         code='TOOL_MISMATCH')['message'])
        # With both, the newer one is taken, wherever it is.
        self.backup('archive', self.place(), ['shop'], TOOLS=tools)

    def test_tls(self):
        """What is asked for is had: a way that is sealed, to the server of that name. Otherwise not even the password
        is sent, and nothing is stored; the sentence has the reason."""
        stranger = certificates.Authority()
        self.addCleanup(stranger.close)
        right = {'host': 'localhost', 'tls': 'verify', 'tls_ca': self.authority.path}
        more = {'user': 'sealed', 'password': 'sealed-secret'}
        for tls, reason in (({}, None), ({'tls': 'require'}, None), (right, None),
                            ({**right, 'host': '127.0.0.1'}, 'does not match host name'),
                            ({**right, 'tls_ca': stranger.path}, 'certificate verify failed'),
                            ({**right, 'tls_ca': '/nowhere.pem'}, '/nowhere.pem'),
                            ({'host': 'localhost', 'tls': 'verify'}, 'certificate')):
            told = self.backup('archive', self.place(), ['shop'], tls=tls,
                               code='SERVER_UNREACHABLE' if reason else None, **more)
            if reason:
                self.assertIn(reason, told['message'])
        # Without TLS that user is nobody, and a server without it is told.
        told = self.backup('archive', self.place(), server=self.fresh, code='LOGIN_REFUSED', **more)
        self.assertIn('no encryption', told['message'])
        told = self.backup('archive', self.place(), server=self.fresh, tls={'tls': 'require'},
                           code='SERVER_UNREACHABLE')
        self.assertIn('SSL was required', told['message'])
        place = self.place()
        self.backup('archive', place, ['shop'], tls=right)
        self.restore('archive', place, '/postgresql/shop.dump', 'over tls', server=self.server, tls=right)
        self.assertEqual(self.server.checksums('over tls'), self.server.checksums('shop'))
        self.server.sql('DROP DATABASE "over tls"')
        self.restore('archive', place, '/postgresql/shop.dump', 'over tls', server=self.server,
                     tls={**right, 'tls_ca': stranger.path}, code='SERVER_UNREACHABLE')

    def test_newer_server(self):
        """A server that is newer than all programs here is refused, in words, before anything is stored."""
        server = postgres.Server(native=npm.require(postgres.newer))
        self.addCleanup(server.close)
        server.start()
        for form in ('archive', 'repository'):
            told = self.backup(form, self.place(), server=server, code='TOOL_MISMATCH')
            self.assertRegex(told['message'], r'older than the server, 18\.')
        place = self.place()
        self.backup('archive', place, ['shop'])
        told = self.restore('archive', place, '/postgresql/shop.dump', 'shop', server=server, code='TOOL_MISMATCH')
        self.assertEqual(server.sql("SELECT count(*) FROM pg_database WHERE datname = 'shop'"), '0\n')

    def fake_dump(self, script):
        """A pg_dump of the right version that does this."""
        tools = self.place()
        for name, text in (('pg_dump', script), ('pg_dumpall', f'exec {self.server.programs}/pg_dumpall "$@"')):
            with open(f'{tools}/{name}', 'w', encoding='utf-8') as file:
                file.write('#!/bin/bash\nset -o pipefail; real=' + self.server.programs + '/pg_dump\n'
                           '[ "$1" = --version ] && exec "$real" --version\n' + text)
            os.chmod(f'{tools}/{name}', 0o755)
        return {'TOOLS': tools, 'VERSIONS': '/nowhere'}

    def test_no_green_without_an_end(self):
        """Whatever the program printed: with another exit status it has failed, and what is no dump is none."""
        for script, code, forms in (('"$real" "$@"; exit 2', 'DUMP_FAILED', FORMATS),
                                    ('"$real" "$@" | head -c 1000; echo "it broke" >&2; exit 3', 'DUMP_FAILED',
                                     FORMATS[:1]),
                                    ('"$real" "$@"; kill -9 $$', 'DUMP_FAILED', FORMATS[:1]),
                                    ('echo no dump', 'DUMP_INCOMPLETE', FORMATS),
                                    ('true', 'DUMP_INCOMPLETE', FORMATS[:1])):
            for form in FORMATS if LONG else forms:
                told = self.backup(form, self.place(), ['shop'], code=code, **self.fake_dump(script))
                if 'broke' in script:
                    self.assertIn('it broke', told['message'])
                self.assertIn("'shop'", told['message'])

    def test_secret(self):
        """The password is in no argument list, no environment and no file while a dump runs."""
        seen = self.folder + '/seen'
        tools = self.fake_dump(f'{{ tr "\\0" "\\n" </proc/$$/cmdline; tr "\\0" "\\n" </proc/$$/environ;'
                               f' ls -lL /proc/self/fd/3; }} >{seen}; exec "$real" "$@"')
        self.backup('archive', self.place(), ['shop'], **tools)
        with open(seen, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('passfile', text)
        self.assertRegex(text, '-r--------')
        for secret in (PASSWORD, 't"g r e', 'g r e:s#'):
            self.assertNotIn(secret, text)

    def test_server_killed(self):
        """In mid-dump: failed, with the reason, and nothing under a final name."""
        server = postgres.Server().start()
        self.addCleanup(server.close)
        server.sql("CREATE TABLE t AS SELECT g, repeat(md5(g::text), 30000) b FROM generate_series(1, 40) g;"
                   ' ALTER TABLE t ALTER b SET STORAGE EXTERNAL')
        mark = self.folder + '/mark'
        tools = self.fake_dump(held('"$real"', mark))
        for form in FORMATS:
            with Half(mark, server.kill):
                told = self.backup(form, self.place(), ['postgres'], server=server, code='DUMP_FAILED', **tools)
            self.assertIn("'postgres'", told['message'])
            server.start()

    @unittest.skipUnless(os.geteuid() == 0, 'only root may mount')
    def test_full_target(self):
        """Failed, with the reason, and nothing under a final name."""
        self.server.sql('CREATE DATABASE large')
        self.server.sql('CREATE TABLE t AS SELECT sha512(g::text::bytea) FROM generate_series(1, 30000) g', 'large')
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
        tools = self.fake_dump(held('"$real"', mark))

        def count():
            return int(self.server.sql('SELECT n FROM version', 'bank'))

        with Writer([self.server.programs + '/psql', '-h', self.server.folder, '-p', str(self.server.port),
                     '-U', 'postgres', '-XqAt', 'bank']):
            for form in FORMATS:
                place = self.place()
                with Half(mark, lambda: written(count)):
                    self.check_memory(self.backup(form, place, ['bank'], **tools))
                self.check_memory(self.restore(form, place, '/postgresql/bank.dump', 'bank', 'drop'))
                n = int(self.fresh.sql('SELECT n FROM version', 'bank'))
                self.fresh.sql('DROP DATABASE IF EXISTS expected; CREATE DATABASE expected')
                self.fresh.sql(BANK + changes(n), 'expected')
                self.assertEqual(self.fresh.checksums('bank'), self.fresh.checksums('expected'))


if __name__ == '__main__':
    unittest.main()
