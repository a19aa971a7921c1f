#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S3 against Ceph, which checks signatures."""

import os
import pathlib
import re
import shutil
import tempfile
import unittest

import backups
import ceph
import conformance
import servers
import sigv4
import trees
from suite import Suite

MIB = 1 << 20
BUCKET = 'backups'
SHARED = {}


def setUpModule():
    why = ceph.missing()
    if why:
        raise unittest.SkipTest(why)
    SHARED['folder'] = tempfile.mkdtemp(prefix='backupx-ceph-')
    unittest.addModuleCleanup(shutil.rmtree, SHARED['folder'])
    SHARED['ceph'] = ceph.Ceph(SHARED['folder'])
    unittest.addModuleCleanup(SHARED['ceph'].close)
    SHARED['client'] = sigv4.Client(SHARED['ceph'].url, ceph.ACCESS_KEY, ceph.SECRET_KEY)
    status, _, body = SHARED['client'].request('PUT', f'/{BUCKET}')
    if status != 200:
        raise RuntimeError(body)


class Case(backups.Case):
    """A target there."""

    def setUp(self):
        super().setUp()
        self.client = SHARED['client']

    def address(self):
        return '127.0.0.1', SHARED['ceph'].port

    def spec(self, address=None, **config):
        return {'type': 's3', 'part': 5 * MIB, 'secrets': {'secret_key': ceph.SECRET_KEY},
                'config': {'preset': 'ceph', 'endpoint': 'http://%s:%d' % (address or self.address()),
                           'bucket': BUCKET, 'access_key': ceph.ACCESS_KEY, 'prefix': 'a/prefix',
                           'part_size': 5, **config}}

    def retaining(self, bucket):
        """A new bucket, and how a target asks it to retain its objects."""
        self.assertEqual(self.client.request('PUT', f'/{bucket}', headers=[
            ('x-amz-bucket-object-lock-enabled', 'true')])[0], 200)
        return self.spec(bucket=bucket, lock_mode='GOVERNANCE', lock_days=2)

    def remove_versions(self, bucket, prefix):
        """Removes all versions of all objects, for good: status -> names of those that gave it."""
        status, _, body = self.client.request('GET', f'/{bucket}', [('prefix', prefix), ('versions', '')])
        self.assertEqual((status, b'<IsTruncated>true' in body), (200, False), body)
        found = {}
        for key, version in re.findall(r'<Version>.*?<Key>(.*?)</Key><VersionId>(.*?)</VersionId>', body.decode()):
            status, _, _ = self.client.request('DELETE', f'/{bucket}/{key}', [('versionId', version)])
            found.setdefault(status, []).append(key.removeprefix(prefix))
        return found

    def uploads(self):
        status, _, body = self.client.request('GET', f'/{BUCKET}', [('uploads', '')])
        self.assertEqual(status, 200, body)
        return body.count(b'<UploadId>')

    def operate_at(self, spec, *operations, **more):
        """How each operation went."""
        done = conformance.run(spec, operations=list(operations), **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [conformance.json.loads(line) for line in done.stdout.splitlines()]


class Ceph(Case, conformance.Cases, conformance.Line):
    """What every type must do."""
    #: Odd names are with VirtualHosts.
    cases = [c for c in conformance.CASES if c != 'odd names' or backups.LONG] + ['wrong digest']

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        self.assertEqual(self.uploads(), 0)
        return done

    def test_flipped_bit(self):
        once = self.operate(lambda number: ('flip up', MIB) if number == 0 else None, self.put(), self.get())
        self.assertEqual([d['code'] for d in once], ['', ''], once)
        always = self.operate(lambda number: ('flip up', MIB), self.put(), retry_ms=1)
        self.assertEqual(always[0]['code'], 'STORAGE_CHECKSUM', always)

    def test_parts_over_a_bad_line(self):
        """Of four parts two are cut; nothing of an upload is left when it is given up."""
        cuts = iter([('cut up', MIB), None, ('cut up', 3 * MIB)])
        done = self.operate(lambda number: next(cuts, None), self.put(size=17 * MIB), self.get(size=17 * MIB))
        self.assertEqual([d['code'] for d in done], ['', ''], done)
        done = self.operate(lambda number: ('cut up', 3 * MIB), self.put(size=17 * MIB), retry_ms=1000)
        self.assertEqual(done[0]['code'], 'STORAGE_INTERRUPTED', done)


class VirtualHosts(Case):
    """The bucket in the name of the host."""

    def test_cases(self):
        spec = self.spec(('localhost', SHARED['ceph'].port), path_style=False)
        done = conformance.run(spec, cases=['ranges', 'list', 'odd names'])
        self.assertEqual(done.returncode, 0, done.stderr)


class Refusals(Case):
    """What a server refuses, told by its kind."""

    def check(self, spec, code, *words):
        put = {'do': 'put', 'key': 'refused/x', 'size': 1000}
        for operation in (put, {'do': 'list'}, {'do': 'get', 'key': 'refused/x', 'size': 1000}, {'do': 'probe'}):
            done = self.operate_at(spec, operation)[0]
            self.assertEqual(done['code'], code, done)
            for word in words:
                self.assertIn(word, done['message'])
            self.assertNotIn(spec['secrets']['secret_key'], str(done))

    def test_credentials(self):
        self.check({**self.spec(), 'secrets': {'secret_key': 'SK-of-others'}}, 'STORAGE_DENIED', 'secret key')
        self.check(self.spec(access_key='NOBODY'), 'STORAGE_DENIED', 'access key')

    def test_no_bucket(self):
        self.check(self.spec(bucket='nobodys'), 'STORAGE_NO_BUCKET', 'bucket')

    def test_quota(self):
        admin = SHARED['ceph'].admin
        admin('user', 'create', '--uid=q', '--display-name=q', '--access-key=AKQ', '--secret=SKQ')
        client = sigv4.Client(SHARED['ceph'].url, 'AKQ', 'SKQ')
        self.assertEqual(client.request('PUT', '/little')[0], 200)
        admin('quota', 'set', '--quota-scope=user', '--uid=q', '--max-size=1M')
        admin('quota', 'enable', '--quota-scope=user', '--uid=q')
        spec = {**self.spec(bucket='little', access_key='AKQ'), 'secrets': {'secret_key': 'SKQ'}}
        for size in (3 * MIB, 12 * MIB):
            done = self.operate_at(spec, {'do': 'put', 'key': 'x', 'size': size})[0]
            self.assertEqual(done['code'], 'STORAGE_QUOTA', done)


class Objects(Case):
    """What an object has beside its bytes."""

    def test_retention(self):
        spec = self.retaining('locked')
        done = self.operate_at(spec, {'do': 'put', 'key': 'small', 'size': 10},
                               {'do': 'put', 'key': 'large', 'size': 7 * MIB}, {'do': 'probe'}, prefix='r/')
        self.assertEqual([d['code'] for d in done], ['', '', ''], done)
        for name in ('small', 'large'):
            path = f'/locked/a/prefix/r/{name}'
            status, _, body = self.client.request('GET', path, [('retention', '')])
            self.assertEqual(status, 200, body)
            self.assertIn(b'<Mode>GOVERNANCE</Mode>', body)
            _, headers, _ = self.client.request('HEAD', path)
            status, _, body = self.client.request('DELETE', path, [('versionId', headers['x-amz-version-id'])])
            self.assertEqual(status, 403, body)
        # What will be removed soon is not retained.
        done = self.operate_at({**spec, 'transient': True}, {'do': 'put', 'key': 'small', 'size': 10},
                               {'do': 'put', 'key': 'large', 'size': 7 * MIB}, prefix='t/')
        self.assertEqual([d['code'] for d in done], ['', ''], done)
        self.assertEqual(self.remove_versions('locked', 'a/prefix/t/'), {204: ['large', 'small']})


class Runs(Case):
    """Through the real services, with the client."""

    def create(self, suite, name, spec):
        """A target with the client; its number."""
        secret = self.path('secret')
        servers.write(secret, ceph.SECRET_KEY + '\n', 0o600)
        words = [f'--config={key}={value}' for key, value in spec['config'].items()]
        suite.cli('targets', 'create', name, '--type', 's3', *words, '--secret', f'secret_key={secret}')
        return next(t['id'] for t in suite.client.items('targets') if t['name'] == name)

    def check_retained_repository(self, suite, source):
        """What a repository holds is retained, and the locks beside it are not."""
        number = self.create(suite, 'retained', self.retaining('retained'))
        task = suite.make_task([source], [number], name='retained', format='repository')
        for _ in range(2):
            run = suite.backup(task)
            self.assertEqual(run['state'], 'succeeded', f'{run}\n{suite.logs(run["id"])}')
        found = {status: {key.split('/')[1] for key in keys}
                 for status, keys in self.remove_versions('retained', 'a/prefix/local/').items()}
        self.assertEqual(found, {204: {'locks'}, 403: {'config', 'data', 'index', 'keys', 'snapshots'}})

    def test_backup_and_restore(self):
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        number = self.create(suite, 'cloud', self.spec())
        test = suite.client.post(f'targets/{number}/test', {})
        self.assertTrue(test['ok'], test)
        source, back = self.path('source'), self.path('back')
        os.mkdir(source)
        os.mkdir(back)
        trees.make_small(source)
        trees.write(source + '/large', os.urandom(17 * MIB))
        run = suite.backup(suite.make_task([source], [number], name='to-the-cloud'))
        self.assertEqual(run['state'], 'succeeded', f'{run}\n{suite.logs(run["id"])}')
        status, _, listing = self.client.request('GET', f'/{BUCKET}', [
            ('list-type', '2'), ('prefix', 'a/prefix/local/to-the-cloud/')])
        self.assertEqual((status, listing.count(b'data.tar.zst')), (200, 1), listing)
        restored = suite.restore(run['id'], back)
        self.assertEqual(restored['state'], 'succeeded', suite.logs(restored['id']))
        self.assert_same(source, back + source)
        self.check_retained_repository(suite, source)
        for path in pathlib.Path(suite.folder).rglob('*'):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(ceph.SECRET_KEY.encode(), path.read_bytes(), path)


if __name__ == '__main__':
    unittest.main(verbosity=2)
