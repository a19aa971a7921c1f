# SPDX-License-Identifier: Apache-2.0
"""An S3 server in memory for what a real one does not do on demand: signed chunks with a trailer, names of
buckets in the host, answers that get lost, lists that lie, uploads of last week. It checks every signature."""

import base64
import datetime
import hashlib
import http.server
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

import sigv4

BUCKET = 'bucket'


class FakeS3(http.server.ThreadingHTTPServer):
    """fault(method, query, number) → None, 'drop after' (does it, then closes without an answer), or (status,
    body) to answer instead."""
    daemon_threads = True

    def __init__(self, fault=None):
        super().__init__(('127.0.0.1', 0), Handler)
        self.secret = 'SK/of+fake'
        self.token = 'session=token'
        self.fault = fault
        self.conditional = True
        self.versions = False  # what is removed stays, below a marker
        self.customer_key = None  # that requests for objects must carry
        self.page = 1000
        self.objects = {}
        self.uploads = {}
        self.started = 0
        self.requests = []
        self.refusals = []
        self.proxied = 0
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is what some tests are about."""

    def begin(self, key, age_days=0, headers=()):
        """An upload."""
        self.started += 1
        started = datetime.datetime.utcnow() - datetime.timedelta(days=age_days)
        self.uploads[f'u{self.started}'] = {'key': key, 'parts': {}, 'headers': dict(headers),
                                            'started': started.strftime('%Y-%m-%dT%H:%M:%S.000Z')}
        return f'u{self.started}'


class Refused(Exception):
    """With the code of S3."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Quiet."""

    def answer(self, status, body=b'', headers=()):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        if not any(key == 'Content-Length' for key, _ in headers):
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def refuse(self, status, code):
        self.server.refusals.append(code)
        self.answer(status, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>It is {code}.</Message></Error>')

    # --- Signatures ---

    def check_signature(self):
        """The body without its frame."""
        server = self.server
        found = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=AK/(\d{8})/([^/]+)/s3/aws4_request, '
                             r'SignedHeaders=([^,]+), Signature=([0-9a-f]{64})', self.headers['Authorization'])
        time = self.headers['x-amz-date']
        if not found or time[:8] != found[1]:
            raise Refused('AuthorizationHeaderMalformed')
        names = found[3].split(';')
        wanted = {'host'} | {k.lower() for k in self.headers if k.lower().startswith('x-amz-')}
        if not wanted <= set(names) or self.headers['x-amz-security-token'] != server.token:
            raise Refused('AccessDenied')
        payload = self.headers['x-amz-content-sha256']
        text = sigv4.canonical(self.command, self.path.split('?')[0], self.query,
                               [(n, self.headers[n]) for n in names], payload)
        if sigv4.signature(server.secret, found[2], sigv4.to_sign(text, time, found[2]), time) != found[4]:
            raise Refused('SignatureDoesNotMatch')
        if payload == 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
            return self.unframe(found[2], time, found[4])
        if payload != hashlib.sha256(self.body).hexdigest():
            raise Refused('XAmzContentSHA256Mismatch')
        return self.body

    def unframe(self, region, time, last):
        """Checks each chunk and the trailer."""
        scope = f'{time}\n{time[:8]}/{region}/s3/aws4_request\n'
        data, rest = b'', self.body
        while True:
            head, rest = rest.split(b'\r\n', 1)
            size, given = head.decode().split(';chunk-signature=')
            chunk, rest = rest[:int(size, 16)], rest[int(size, 16):]
            text = (f'AWS4-HMAC-SHA256-PAYLOAD\n{scope}{last}\n{sigv4.EMPTY}\n'
                    f'{hashlib.sha256(chunk).hexdigest()}')
            last = sigv4.signature(self.server.secret, region, text, time)
            if last != given:
                raise Refused('SignatureDoesNotMatch')
            if not chunk:
                break
            data += chunk
            if not rest.startswith(b'\r\n'):
                raise Refused('IncompleteBody')
            rest = rest[2:]
        line, signature, *end = rest.decode().split('\r\n')
        text = f'AWS4-HMAC-SHA256-TRAILER\n{scope}{last}\n{hashlib.sha256((line + chr(10)).encode()).hexdigest()}'
        if signature != 'x-amz-trailer-signature:' + sigv4.signature(self.server.secret, region, text, time):
            raise Refused('SignatureDoesNotMatch')
        if line != 'x-amz-checksum-sha256:' + base64.b64encode(hashlib.sha256(data).digest()).decode():
            raise Refused('BadDigest')
        if end != ['', ''] or len(data) != int(self.headers['x-amz-decoded-content-length']) or \
                self.headers['x-amz-trailer'] != 'x-amz-checksum-sha256':
            raise Refused('IncompleteBody')
        return data

    # --- Requests ---

    def serve(self):
        server = self.server
        if self.path.startswith('http://'):  # as a proxy is asked
            server.proxied += 1
            self.path = '/' + self.path.split('/', 3)[3]
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        self.body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        words = dict(self.query)
        with server.lock:
            number = len(server.requests)
            server.requests.append((self.command, self.path))
        fault = server.fault(self.command, words, number) if server.fault else None
        if isinstance(fault, tuple):
            return self.answer(*fault)
        if fault == 'drop after':
            self.wfile = open('/dev/null', 'wb')
            self.close_connection = True
        path = urllib.parse.unquote(url.path)[1:]
        if not self.headers['Host'].startswith(BUCKET + '.'):
            bucket, _, path = path.partition('/')
            if bucket != BUCKET:
                return self.refuse(404, 'NoSuchBucket')
        try:
            data = self.check_signature()
        except Refused as refused:
            return self.refuse(403, str(refused))
        if server.customer_key and path and self.command in ('GET', 'HEAD', 'PUT') and \
                self.headers['x-amz-server-side-encryption-customer-key'] != server.customer_key:
            return self.refuse(400, 'InvalidRequest')
        with server.lock:
            return getattr(self, 'on_' + self.command.lower())(path, words, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def is_taken(self, key):
        return self.server.conditional and self.headers['If-None-Match'] == '*' and key in self.server.objects

    def meta(self):
        return {k: v for k, v in self.headers.items() if k.lower().startswith('x-amz-meta-')}

    def on_put(self, key, words, data):
        server = self.server
        if 'uploadId' in words:
            upload = server.uploads.get(words['uploadId'])
            if not upload or upload['key'] != key:
                return self.refuse(404, 'NoSuchUpload')
            upload['parts'][int(words['partNumber'])] = data
        elif self.is_taken(key):
            return self.refuse(412, 'PreconditionFailed')
        else:
            server.objects[key] = (data, self.meta())
        return self.answer(200, headers=[('ETag', f'"{hashlib.md5(data).hexdigest()}"')])

    def on_post(self, key, words, data):
        server = self.server
        if 'uploads' in words:
            name = server.begin(key, headers=self.meta())
            return self.answer(200, f'<InitiateMultipartUploadResult><UploadId>{name}</UploadId>'
                                    '</InitiateMultipartUploadResult>')
        upload = server.uploads.get(words['uploadId'])
        if not upload:
            return self.refuse(404, 'NoSuchUpload')
        if self.is_taken(key):
            return self.refuse(412, 'PreconditionFailed')
        parts = re.findall(r'<PartNumber>(\d+)</PartNumber><ETag>&quot;([0-9a-f]+)&quot;</ETag>', data.decode())
        whole = [upload['parts'][int(n)] for n, _ in parts]
        if [hashlib.md5(p).hexdigest() for p in whole] != [tag for _, tag in parts] or \
                len({len(p) for p in whole[:-1]}) > 1:
            return self.refuse(400, 'InvalidPart')
        server.objects[key] = (b''.join(whole), upload['headers'])
        del server.uploads[words['uploadId']]
        return self.answer(200, '\n \n<CompleteMultipartUploadResult><ETag>&quot;x-1&quot;</ETag>'
                                '</CompleteMultipartUploadResult>')

    def on_delete(self, key, words, data):
        if 'uploadId' in words:
            self.server.uploads.pop(words['uploadId'], None)
        else:
            self.server.objects.pop(key, None)
        marked = self.server.versions and 'uploadId' not in words
        return self.answer(204, headers=[('x-amz-delete-marker', 'true')] if marked else [])

    def on_head(self, key, words, data):
        if key not in self.server.objects:
            return self.answer(404)
        data, headers = self.server.objects[key]
        return self.answer(200, headers=[('Content-Length', str(len(data))), *headers.items()])

    def on_get(self, key, words, data):
        if not key:
            return self.list_uploads(words) if 'uploads' in words else self.list_objects(words)
        if key not in self.server.objects:
            return self.refuse(404, 'NoSuchKey')
        data, _ = self.server.objects[key]
        first, last = self.headers['Range'].removeprefix('bytes=').split('-')
        if int(first) >= len(data):
            return self.refuse(416, 'InvalidRange')
        return self.answer(206, data[int(first):int(last) + 1])

    def list_objects(self, words):
        keys = sorted((k for k in self.server.objects if k.startswith(words['prefix'])), key=str.encode)
        after = words.get('continuation-token', '')
        left = [k for k in keys if not after or k.encode() > after.encode()]
        page = left[:self.server.page]
        more = len(left) > len(page)
        body = ''.join(f'<Contents><Key>{urllib.parse.quote_plus(k, safe="/")}</Key>'
                       f'<Size>{len(self.server.objects[k][0])}</Size></Contents>' for k in page)
        token = f'<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>' if more else ''
        return self.answer(200, f'<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{body}{token}'
                                '<EncodingType>url</EncodingType></ListBucketResult>')

    def list_uploads(self, words):
        body = ''.join(f'<Upload><Key>{escape(u["key"])}</Key><UploadId>{name}</UploadId>'
                       f'<Initiated>{u["started"]}</Initiated></Upload>'
                       for name, u in self.server.uploads.items() if u['key'].startswith(words['prefix']))
        return self.answer(200, f'<ListMultipartUploadsResult>{body}</ListMultipartUploadsResult>')
