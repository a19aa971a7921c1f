# SPDX-License-Identifier: Apache-2.0
"""The relay of a master as lib/storage/relay.c speaks to it, in memory, with faults on demand."""

import hashlib
import http.server
import json
import socket
import threading
import time
import urllib.parse

PART = 8 << 20


class Relay(http.server.ThreadingHTTPServer):
    """fault(method, path, number) → what to do with a request before it is served: None, 'drop' (close
    without a word), 'drop after' (do it, then close), a status, or (status, headers)."""
    daemon_threads = True

    def __init__(self, token='bxr_test', fault=None):
        super().__init__(('127.0.0.1', 0), Handler)
        self.token = token
        self.fault = fault
        self.objects = {}
        self.uploads = {}
        self.started = 0
        self.requests = []
        self.lock = threading.Lock()
        self.may_remove = True
        self.repeats_pages = False
        self.page = 2
        self.url = f'http://127.0.0.1:{self.server_port}'
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


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""
    protocol_version = 'HTTP/1.1'
    # Head and body go in two writes, the second of which would wait for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Quiet."""

    def answer(self, status, data=None, code='OK', body=None, headers=()):
        if body is None:
            body = json.dumps({'code': code, 'data': data, 'message': f'It is {code}.'}).encode()
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        if self.command == 'HEAD' and status == 200:
            self.send_header('Content-Length', str(data))
            self.end_headers()
            return
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def close(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def serve(self):
        server = self.server
        length = int(self.headers.get('Content-Length') or 0)
        with server.lock:
            number = len(server.requests)
            server.requests.append((self.command, self.path))
        fault = server.fault(self.command, self.path, number) if server.fault else None
        if fault == 'drop':
            return self.close()
        if fault == 'stall':
            time.sleep(5)
            return self.close()
        self.body = self.rfile.read(length)
        if isinstance(fault, int):
            return self.answer(fault, code='FAULT')
        if isinstance(fault, tuple):
            return self.answer(fault[0], code='FAULT', headers=fault[1])
        if self.headers.get('Authorization') != f'Bearer {server.token}.1':
            return self.answer(401, code='RELAY_TOKEN_INVALID')
        if fault == 'drop after':
            self.wfile = open('/dev/null', 'wb')
            self.route()
            return self.close()
        return self.route()

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        prefix = '/api/v1/relay/1/'
        if not url.path.startswith(prefix):
            return self.answer(404, code='NOT_FOUND')
        key = '/'.join(urllib.parse.unquote(part) for part in url.path[len(prefix):].split('/'))
        with self.server.lock:
            return getattr(self, 'on_' + self.command.lower())(key, query)

    def on_post(self, key, query):
        server = self.server
        if 'upload' in query:
            if key in server.objects:
                return self.answer(409, code='RELAY_EXISTS')
            server.started += 1
            upload = f'u{server.started}'
            server.uploads[upload] = bytearray()
            return self.answer(201, {'upload': upload, 'part_size': PART})
        wanted = json.loads(self.body)
        if key in server.objects:
            same = hashlib.sha256(server.objects[key]).hexdigest() == wanted['sha256']
            return self.answer(200) if same else self.answer(409, code='RELAY_EXISTS')
        data = server.uploads.get(query['commit'])
        if data is None:
            return self.answer(404, code='RELAY_UPLOAD_UNKNOWN')
        if len(data) != wanted['size'] or hashlib.sha256(data).hexdigest() != wanted['sha256']:
            return self.answer(422, code='RELAY_CHECKSUM')
        server.objects[key] = bytes(data)
        del server.uploads[query['commit']]
        return self.answer(201)

    def on_put(self, key, query):
        data = self.server.uploads.get(query['upload'])
        at = int(query['part']) * PART
        if data is None:
            return self.answer(404, code='RELAY_UPLOAD_UNKNOWN')
        if at > len(data) or len(self.body) > PART:
            return self.answer(409, code='CONFLICT')
        data[at:at + PART] = self.body
        return self.answer(200)

    def on_delete(self, key, query):
        if 'upload' in query:
            self.server.uploads.pop(query['upload'], None)
            return self.answer(200)
        if not self.server.may_remove:
            return self.answer(403, code='RELAY_DENIED')
        if self.server.objects.pop(key, None) is None:
            return self.answer(404, code='RELAY_NOT_FOUND')
        return self.answer(200)

    def on_head(self, key, query):
        data = self.server.objects.get(key)
        return self.answer(404) if data is None else self.answer(200, len(data))

    def on_get(self, key, query):
        server = self.server
        if 'prefix' in query:
            keys = sorted((k for k in server.objects if k.startswith(query['prefix'])), key=str.encode)
            page = [k for k in keys if k > query.get('cursor', '')][:server.page]
            more = page and page[-1] != keys[-1]
            if server.repeats_pages:
                return self.answer(200, {'items': [], 'next_cursor': 'same'})
            return self.answer(200, {'items': [{'key': k, 'size': len(server.objects[k])} for k in page],
                                     'next_cursor': page[-1] if more else None})
        if 'usage' in query:
            return self.answer(200, {'free_bytes': 1 << 30, 'total_bytes': 1 << 40, 'writable': True})
        data = server.objects.get(key)
        if data is None:
            return self.answer(404, code='RELAY_NOT_FOUND')
        first, last = self.headers['Range'].removeprefix('bytes=').split('-')
        if int(first) >= len(data):
            return self.answer(416, code='RELAY_RANGE')
        return self.answer(206, body=data[int(first):int(last) + 1])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve
