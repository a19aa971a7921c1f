# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4 once more, for what the tests ask of S3 servers themselves, and to check what the
product signed without its own code."""

import datetime
import hashlib
import hmac
import urllib.error
import urllib.parse
import urllib.request

EMPTY = hashlib.sha256(b'').hexdigest()


def key_of(secret, date, region, service='s3'):
    """The key of a day."""
    key = ('AWS4' + secret).encode()
    for part in (date, region, service, 'aws4_request'):
        key = hmac.new(key, part.encode(), 'sha256').digest()
    return key


def signature(secret, region, text, time):
    """Of what is signed."""
    return hmac.new(key_of(secret, time[:8], region), text.encode(), 'sha256').hexdigest()


def canonical(method, path, query, headers, payload):
    """path as it was sent; query and headers as lists of pairs, decoded."""
    quoted = sorted((urllib.parse.quote(k, safe='-._~'), urllib.parse.quote(v, safe='-._~')) for k, v in query)
    lines = sorted((k.lower(), ' '.join(v.split())) for k, v in headers)
    return '\n'.join([method, path, '&'.join(f'{k}={v}' for k, v in quoted),
                      *(f'{k}:{v}' for k, v in lines), '', ';'.join(k for k, _ in lines), payload])


def to_sign(text, time, region):
    """The string to sign of a canonical request."""
    return f'AWS4-HMAC-SHA256\n{time}\n{time[:8]}/{region}/s3/aws4_request\n{hashlib.sha256(text.encode()).hexdigest()}'


class Client:
    """An account at a server, in path style."""

    def __init__(self, url, access_key, secret_key, region='us-east-1'):
        self.url = url
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region

    def request(self, method, path, query=(), body=b'', headers=()):
        """(status, headers, body) of the answer."""
        time = datetime.datetime.utcnow().strftime('%Y%m%dT%H%M%SZ')
        quoted = urllib.parse.quote(path, safe='/-._~')
        payload = hashlib.sha256(body).hexdigest()
        signed = [('host', urllib.parse.urlsplit(self.url).netloc), ('x-amz-date', time),
                  ('x-amz-content-sha256', payload), *headers]
        text = to_sign(canonical(method, quoted, query, signed, payload), time, self.region)
        names = ';'.join(sorted(k.lower() for k, _ in signed))
        authorization = (f'AWS4-HMAC-SHA256 Credential={self.access_key}/{time[:8]}/{self.region}/s3/aws4_request, '
                         f'SignedHeaders={names}, Signature={signature(self.secret_key, self.region, text, time)}')
        url = self.url + quoted + ('?' + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
                                   if query else '')
        ask = urllib.request.Request(url, data=body or None, method=method,
                                     headers={**dict(signed), 'Authorization': authorization})
        try:
            with urllib.request.urlopen(ask, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
