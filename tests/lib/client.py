# SPDX-License-Identifier: Apache-2.0
"""A small client of the HTTP API, for tests and for quickstart."""

import json
import ssl
import urllib.error
import urllib.request

# Whom the suite's own clients believe has tests of its own; the tests believe anybody.
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE

# Never through a proxy of the environment: all of it is on this machine.
OPENER = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),
    urllib.request.HTTPSHandler(context=UNVERIFIED),
)


class ApiError(Exception):
    """An answer of the API that is no success."""

    def __init__(self, method, path, status, body):
        self.status = status
        self.code = body.get('code', '') if isinstance(body, dict) else ''
        self.message = body.get('message', '') if isinstance(body, dict) else str(body)
        self.body = body
        super().__init__(f'{method} {path}: {status} {self.code}: {self.message}')


class Client:
    """Calls the API with one credential."""

    def __init__(self, server, token=None, timeout=60):
        self.server = server.rstrip('/')
        self.token = token
        self.timeout = timeout

    def open(self, method, path, body=None, headers=None, timeout=None):
        """Sends a request; the response object (to be closed by the caller), whatever its status."""
        url = self.server + (path if path.startswith('/') else f'/api/v1/{path}')
        data = None
        headers = dict(headers or {})
        if isinstance(body, bytes):
            data = body
        elif body is not None:
            data = json.dumps(body).encode()
            headers.setdefault('Content-Type', 'application/json')
        if self.token:
            headers.setdefault('Authorization', f'Bearer {self.token}')
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            return OPENER.open(request, timeout=timeout or self.timeout)
        except urllib.error.HTTPError as error:
            return error

    def raw(self, method, path, body=None, headers=None, timeout=None):
        """(status, headers, bytes) of a request."""
        with self.open(method, path, body, headers, timeout) as response:
            return response.status, response.headers, response.read()

    def request(self, method, path, body=None, headers=None):
        """(status, decoded body) of a request."""
        status, _, data = self.raw(method, path, body, headers)
        try:
            return status, json.loads(data) if data else None
        except ValueError:
            return status, data

    def call(self, method, path, body=None):
        """The data of a successful answer; ApiError otherwise."""
        status, answer = self.request(method, path, body)
        if not 200 <= status < 300:
            raise ApiError(method, path, status, answer)
        return answer.get('data') if isinstance(answer, dict) else answer

    def get(self, path):
        """GET."""
        return self.call('GET', path)

    def post(self, path, body=None):
        """POST; without a body an empty object is sent."""
        return self.call('POST', path, {} if body is None else body)

    def put(self, path, body):
        """PUT."""
        return self.call('PUT', path, body)

    def delete(self, path):
        """DELETE."""
        return self.call('DELETE', path)

    def items(self, path):
        """All items of a list, page by page."""
        cursor = ''
        while True:
            separator = '&' if '?' in path else '?'
            page = self.get(path + (f'{separator}cursor={cursor}' if cursor else ''))
            if isinstance(page, list):
                yield from page
                return
            yield from page['items']
            cursor = page.get('next_cursor')
            if not cursor:
                return
