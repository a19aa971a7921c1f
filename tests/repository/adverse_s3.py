# SPDX-License-Identifier: Apache-2.0
"""S3 at its worst, between a client and a server that does what it should: calls that fail, lists that are stale,
bits that flip on the way back, a quota. Signatures are of the client and stay as they are."""

import http.client
import http.server
import random
import re
import socket
import threading
import time
import urllib.parse

ENTRY = re.compile(rb'<Contents>.*?</Contents>', re.S)
KEY = re.compile(rb'<Key>(.*?)</Key>', re.S)


class AdverseS3(http.server.ThreadingHTTPServer):
    """Between 127.0.0.1:port and whoever asks; everything can be set at any time."""

    daemon_threads = True

    def __init__(self, port, seed):
        super().__init__(('127.0.0.1', 0), Handler)
        self.upstream = port
        self.rest = random.Random(seed)
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.be_good()
        self.stale = 0  # seconds that lists are behind
        self.failed = self.flipped = self.hidden = 0
        self.changes = {}  # key → (when, what the lists said of it before)

    def be_good(self):
        """Nothing fails any more; lists stay as they are."""
        self.fail = 0  # share of requests
        self.flip = 0  # share of objects that are read
        self.room = None  # bytes that can be stored yet

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients that are killed are what this is about."""

    def choose(self, share):
        """True so often."""
        with self.lock:
            return self.rest.random() < share

    def remember(self, key, entry):
        """A key was written or removed now; before, lists had this entry for it."""
        with self.lock:
            old = self.changes.get(key)
            if not old or old[0] + self.stale < time.monotonic():
                self.changes[key] = (time.monotonic(), entry)

    def as_it_was(self, body, prefix):
        """A list of some time ago."""
        assert b'<IsTruncated>true' not in body
        # By names as they are: servers do not agree on what of them is written with a '%'.
        entries = {urllib.parse.unquote_to_bytes(KEY.search(e)[1]): e for e in ENTRY.findall(body)}
        now = time.monotonic()
        with self.lock:
            for key, (when, entry) in self.changes.items():
                if when + self.stale < now or not key.startswith(prefix):
                    continue
                if entry:
                    entries[key.encode()] = entry
                elif entries.pop(key.encode(), None):
                    self.hidden += 1
        listed = b''.join(entries[k] for k in sorted(entries))
        bare = ENTRY.sub(b'', body)
        place = bare.rindex(b'</ListBucketResult>')
        return bare[:place] + listed + bare[place:]


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, and one to the server."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    upstream = None

    def log_message(self, *_):
        """Quiet."""

    def refuse(self, status, code):
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>It is {code}.</Message></Error>'.encode()
        self.answer(status, [], b'' if self.command == 'HEAD' else body)

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ('content-length', 'transfer-encoding', 'connection'):
                self.send_header(name, value)
        length = dict((n.lower(), v) for n, v in headers).get('content-length') if self.command == 'HEAD' else None
        self.send_header('Content-Length', length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, path, body):
        """(status, headers, body) of the server."""
        if not self.upstream:
            self.upstream = http.client.HTTPConnection('127.0.0.1', self.server.upstream)
        self.upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ('connection', 'expect'):
                self.upstream.putheader(name, value)
        self.upstream.endheaders(body)
        got = self.upstream.getresponse()
        return got.status, got.getheaders(), got.read()

    def serve(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        url = urllib.parse.urlsplit(self.path)
        words = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        key = urllib.parse.unquote(url.path).lstrip('/').partition('/')[2]
        fault = ''
        if server.choose(server.fail):
            server.failed += 1
            fault = server.rest.choice(['before', 'denied', 'after', 'cut'])
        if fault == 'before':
            return self.refuse(500, 'InternalError')
        if fault == 'denied':
            return self.refuse(403, 'AccessDenied')
        if self.command == 'PUT' and server.room is not None:
            if len(body) > server.room:
                return self.refuse(403, 'QuotaExceeded')
            server.room -= len(body)
        if self.command == 'DELETE' and key and server.stale:
            self.keep_listed(url, key)
        status, headers, data = self.forward(self.path, body)
        if key and status < 300 and self.command in ('PUT', 'POST'):
            server.remember(key, None)
        if not key and words.get('list-type') == '2' and status == 200 and server.stale:
            data = server.as_it_was(data, words.get('prefix', ''))
        if key and self.command == 'GET' and data and status in (200, 206) and server.choose(server.flip):
            server.flipped += 1
            place = server.rest.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << server.rest.randrange(8)]) + data[place + 1:]
        if fault == 'after':
            return self.end()
        if fault == 'cut':
            self.send_response_only(status)
            self.send_header('Content-Length', str(len(data) + 10))
            self.end_headers()
            self.wfile.write(data[:len(data) // 2])
            return self.end()
        return self.answer(status, headers, data)

    def finish(self):
        if self.upstream:
            self.upstream.close()
        super().finish()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def keep_listed(self, url, key):
        """What is removed now goes on being listed."""
        name = urllib.parse.quote(key, safe='/')
        self.server.remember(key, f'<Contents><Key>{name}</Key><Size>100</Size></Contents>'.encode())

    def end(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
