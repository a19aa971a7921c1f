#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""S3 as other servers speak it, and at its worst: see fake_s3.py."""

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import unittest

import backups
import conformance
import fake_s3
import servers
import trees
from processes import die_with_parent
from suite import wait_until

NGINX = """
daemon off;
user root;
pid {folder}/pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    log_format spoken '$server_protocol $request_method $status';
    access_log {folder}/access spoken;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/certificate;
        ssl_certificate_key {folder}/key;
        client_max_body_size 64m;
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""
MIB = 1 << 20
PUT = {'do': 'put', 'key': 'x', 'size': 1000}
PUT_PARTS = {'do': 'put', 'key': 'x', 'size': 11 * MIB}


class Case(backups.Case):
    """A target there."""

    def setUp(self):
        super().setUp()
        self.server = fake_s3.FakeS3()
        self.enterContext(self.server)

    def spec(self, host='127.0.0.1', **config):
        return {'type': 's3', 'part': 5 * MIB,
                'secrets': {'secret_key': self.server.secret, 'session_token': self.server.token},
                'config': {'endpoint': f'http://{host}:{self.server.server_port}', 'bucket': fake_s3.BUCKET,
                           'access_key': 'AK', 'prefix': 'a/prefix', 'part_size': 5, **config}}

    def operate(self, *operations, spec=None, **more):
        """How each went."""
        done = conformance.run({'prefix': '', **(spec or self.spec())}, operations=list(operations),
                               **{'retry_ms': 20000, **more})
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


class Chunks(Case, conformance.Cases):
    """Bodies in signed chunks with a trailer; buckets in the name of the host; no conditional writes."""
    cases = [*conformance.CASES, 'wrong digest']
    #: This server keeps everything in memory.
    large_long = 512 * MIB

    def spec(self, host='localhost', **config):
        return super().spec(host, path_style=False, signing='trailer', **config)

    def run_cases(self, cases, **more):
        self.server.conditional = False
        self.server.page = 400
        done = super().run_cases(cases, **more)
        self.assertEqual((self.server.uploads, self.server.refusals.count('SignatureDoesNotMatch')), ({}, 0))
        return done


class Tls(Case):
    """HTTP/2 under TLS, as a front of many servers offers it: nginx before the server."""

    def setUp(self):
        super().setUp()
        nginx = shutil.which('nginx', path='/usr/sbin:/usr/bin')
        if not nginx:
            self.skipTest('needs nginx')
        self.port = servers.free_port()
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                        '-subj', '/CN=s3', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2',
                        '-keyout', self.path('key'), '-out', self.path('certificate')],
                       stderr=subprocess.DEVNULL, check=True)
        config = self.path('nginx.conf')
        servers.write(config, NGINX.format(folder=self.folder, port=self.port, server=self.server.server_port))
        self.nginx = subprocess.Popen([nginx, '-p', self.folder, '-c', config, '-e', self.path('error')],
                                      stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(self.nginx.wait)
        self.addCleanup(self.nginx.terminate)
        wait_until(self.listens)

    def listens(self):
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=5):
                return True
        except OSError:
            return False

    def spec(self, host='localhost', **config):
        return super().spec(host, endpoint=f'https://{host}:{self.port}', ca_cert=self.path('certificate'), **config)

    def test_http2(self):
        spec = self.spec()
        done = conformance.run(spec, cases=['objects', 'ranges', 'list', 'odd names', 'concurrent', 'large'],
                               large=32 * MIB)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path('access'), encoding='utf-8') as file:
            spoken = set(line.split()[0] for line in file)
        self.assertEqual(spoken, {'HTTP/2.0'})
        self.assertNotIn('SignatureDoesNotMatch', self.server.refusals)

    def test_cancelled(self):
        """In the middle of a stream that stands still."""
        event = threading.Event()
        self.addCleanup(event.set)
        self.server.fault = lambda *_: event.wait(20) and None
        done = self.operate({**PUT_PARTS, 'cancel_after': 400})
        self.assertEqual(done[0]['code'], 'CANCELLED', done)
        self.assertLess(done[0]['after_cancel'], 1)

    def test_certificate(self):
        spec = self.spec()
        del spec['config']['ca_cert']
        self.assertEqual(self.operate(PUT, spec=spec)[0]['code'], 'STORAGE_CERTIFICATE')
        # A bucket in the name is one that the certificate does not have.
        done = self.operate(PUT, spec=self.spec(path_style=False))
        self.assertEqual(done[0]['code'], 'STORAGE_CERTIFICATE', done)
        self.assertEqual(self.server.requests, [])

    def test_customer_key(self):
        key = base64.b64encode(bytes(range(32))).decode()
        self.server.customer_key = key
        spec = self.spec()
        self.assertNotEqual(self.operate(PUT, spec=spec)[0]['code'], '')
        spec['secrets']['sse_customer_key'] = key
        done = self.operate(PUT, {'do': 'get', 'key': 'x', 'size': 1000}, {**PUT_PARTS, 'key': 'parts'},
                            {'do': 'stat', 'key': 'parts'}, {'do': 'remove', 'key': 'x'}, spec=spec)
        self.assertEqual({d['code'] for d in done}, {''}, done)


class Proxy(Case):
    """All that goes out goes through it."""

    def test_proxy(self):
        proxy = f'http://127.0.0.1:{self.server.server_port}'
        spec = self.spec(endpoint='http://s3.invalid', path_style=True, proxy=proxy)
        done = self.operate(PUT_PARTS, {'do': 'list'}, {'do': 'get', 'key': 'x', 'size': 11 * MIB}, spec=spec)
        self.assertEqual({d['code'] for d in done}, {''}, done)
        self.assertEqual(self.server.proxied, len(self.server.requests))


class Lost(Case):
    """An answer that never arrives: the second try finds what the first one did."""

    def lose(self, which):
        """The first answer to such a request is lost."""
        lost = []

        def fault(method, words, _):
            if which(method, words) and not lost:
                lost.append(1)
                return 'drop after'
            return None
        self.server.fault = fault
        return lost

    def test_put(self):
        for preset in ('minio', 'other'):
            lost = self.lose(lambda method, words: method == 'PUT')
            done = self.operate({**PUT, 'key': preset}, {'do': 'get', 'key': preset, 'size': 1000},
                                spec=self.spec(preset=preset))
            self.assertEqual(([d['code'] for d in done], lost), (['', ''], [1]), done)

    def test_completion(self):
        lost = self.lose(lambda method, words: method == 'POST' and 'uploadId' in words)
        done = self.operate(PUT_PARTS, {'do': 'get', 'key': 'x', 'size': 11 * MIB})
        self.assertEqual(([d['code'] for d in done], lost), (['', ''], [1]), done)
        self.assertEqual(self.server.refusals, ['NoSuchUpload'])

    def test_not_ours(self):
        """Somebody else's object is not taken for the work of a first try."""
        self.server.objects['a/prefix/x'] = (b'x' * 1000, {'x-amz-meta-backupx-put': '0' * 32})
        for preset in ('minio', 'other'):
            done = self.operate(PUT, spec=self.spec(preset=preset))
            self.assertEqual(done[0]['code'], 'OBJECT_EXISTS', done)
        self.assertEqual(self.server.objects['a/prefix/x'][0], b'x' * 1000)


class Lies(Case):
    """What is not true is never called good."""

    def test_success_that_is_none(self):
        """Twice an error under HTTP 200; then it works, or does not."""
        for times, code in ((2, ''), (99, 'STORAGE_FAILED')):
            left = [times]

            def fault(method, words, _, left=left):
                if method == 'POST' and 'uploadId' in words and left[0] > 0:
                    left[0] -= 1
                    return 200, '<?xml version="1.0"?>\n<Error><Code>InternalError</Code></Error>'
                return None
            self.server.fault = fault
            done = self.operate({**PUT_PARTS, 'key': f'k{times}'})
            self.assertEqual(done[0]['code'], code, done)
        self.assertEqual((list(self.server.objects), self.server.uploads), (['a/prefix/k2'], {}))

    def test_lists(self):
        def page(*keys, root='ListBucketResult', more='false', token=''):
            objects = ''.join(f'<Contents><Key>a/prefix/{k}</Key><Size>1</Size></Contents>' for k in keys)
            return f'<{root}>{objects}<IsTruncated>{more}</IsTruncated>{token}</{root}>'
        same = '<NextContinuationToken>t</NextContinuationToken>'
        for body in ('', 'no XML', page('b', 'a'), page('a', 'a'), page('a', root='Other'), page('a', more='true'),
                     page('a')[:-5], page('a', more='true', token=same), '<ListBucketResult/>',
                     page('a').replace('a/prefix/', 'elsewhere/'), page('a').replace('>1<', '>x<'),
                     '<!DOCTYPE x>' + page('a')):
            self.server.fault = lambda *_, body=body: (200, body)
            done = self.operate({'do': 'list'})
            self.assertEqual((done[0]['code'], 'not well-formed' in done[0]['message']),
                             ('STORAGE_FAILED', True), (body, done))
        # The marks of folders of other programs are no objects, and no error.
        self.server.fault = lambda *_: (200, page('', 'a', 'b/'))
        self.assertEqual(self.operate({'do': 'list'})[0]['code'], '')

    def test_whole_object_for_a_part(self):
        self.server.objects['a/prefix/x'] = (b'', {})
        self.server.fault = lambda *_: (200, b'x' * 5000)
        self.assertNotEqual(self.operate({'do': 'get', 'key': 'x', 'size': 1000}, retry_ms=1)[0]['code'], '')


class Leftovers(Case):
    """Uploads of killed jobs."""

    def test_sweep(self):
        old = self.server.begin('a/prefix/old', age_days=8)
        young = self.server.begin('a/prefix/young', age_days=6)
        other = self.server.begin('a/prefix-of-others/old', age_days=80)
        self.assertEqual(self.operate({'do': 'probe'})[0]['code'], '')
        self.assertEqual(sorted(self.server.uploads), sorted([young, other]))
        self.assertNotIn(old, self.server.uploads)

    def test_key_that_may_not_delete(self):
        self.server.fault = lambda method, *_: (403, '<Error><Code>AccessDenied</Code></Error>') \
            if method == 'DELETE' else None
        self.assertEqual(self.operate({'do': 'probe'})[0]['code'], '')


class Volumes(Case):
    """Archives that are larger than an object of the target may be, through the job's own code."""

    def test_limit_of_a_target(self):
        """Nothing of it is there before all of it is."""
        source = self.path('source')
        os.mkdir(source)
        trees.write(source + '/large', os.urandom(22 * MIB))
        seen = []

        def fault(method, words, _):
            if method == 'POST' and 'uploadId' in words:
                seen.append(sorted(self.server.objects))

        self.server.fault = fault
        config = self.spec(volume_size=8)
        with open(self.path('target'), 'w', encoding='utf-8') as file:
            json.dump({'type': config['type'], 'config': config['config'], 'secrets': config['secrets']}, file)
        result = self.backup([source], targets=[], options=['--storage', self.path('target')])
        self.assertEqual([o['volumes'] for o in result['objects']], [3, 1, 1])
        names = [f'a/prefix/run/data.tar.zst{end}' for end in ('', '.001', '.002')]
        self.assertEqual([name for name in sorted(self.server.objects) if 'data' in name], names)
        self.assertEqual(self.server.uploads, {})
        # The first volume of the data was the last of them to be seen.
        self.assertEqual(seen, [[], names[1:2], names[1:]])
        folder = self.path('joined/run')
        os.makedirs(folder)
        for key, (data, _) in self.server.objects.items():
            trees.write(folder + '/' + key.rsplit('/', 1)[1], data)
        self.assert_same(source, self.extract(self.path('joined')) + source)


if __name__ == '__main__':
    unittest.main(verbosity=2)
