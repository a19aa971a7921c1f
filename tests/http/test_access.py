#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may: set-up, logins, sessions, keys, roles, throttling."""

import concurrent.futures
import http.client
import json
import sqlite3
import subprocess
import time
import unittest

from http_case import PASSWORD, ROLES, BareSuite, Client, HttpCase


class SetUp(HttpCase):
    """The first administrator."""

    kind = BareSuite

    def test_one_wins(self):
        client = Client(self.server)
        self.assertEqual(client.get('setup'), {'needed': True})
        self.refused(
            400, 'FIELD_INVALID', 'POST', 'setup', {'username': 'a', 'password': 'short'}, client
        )
        self.refused(
            400, 'FIELD_INVALID', 'POST', 'setup', {'username': 'a b', 'password': PASSWORD}, client
        )
        self.refused(
            400,
            'FIELD_UNKNOWN',
            'POST',
            'setup',
            {'username': 'a', 'password': PASSWORD, 'role': 'admin'},
            client,
            'role',
        )
        self.assertEqual(client.get('setup'), {'needed': True})

        def try_it(number):
            return Client(self.server).request(
                'POST', 'setup', {'username': f'admin-{number}', 'password': PASSWORD}
            )[0]

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = sorted(pool.map(try_it, range(12)))
        self.assertEqual(answers, [201] + 11 * [409])
        self.assertEqual(client.get('setup'), {'needed': False})
        database = sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True)
        self.assertEqual(database.execute('SELECT count(*) FROM users').fetchone(), (1,))
        database.close()


class Sessions(HttpCase):
    """Logins, and what ends a session."""

    def test_login(self):
        user = self.make_user('operator')
        status, headers, body = Client(self.server).raw(
            'POST', 'auth/login', {'username': user['username'], 'password': PASSWORD}
        )
        self.assertEqual(status, 200)
        data = json.loads(body)['data']
        cookie = headers['Set-Cookie']
        for word in ('backupx_session=', 'HttpOnly', 'SameSite=Strict', 'Path=/'):
            self.assertIn(word, cookie)
        self.assertNotIn('Secure', cookie)
        self.assertGreater(data['expires_at'], time.strftime('%Y-%m-%dT%H'))
        me = Client(self.server, data['token']).get('auth/me')
        self.assertEqual((me['username'], me['role']), (user['username'], 'operator'))

    def test_wrong_logins_look_alike(self):
        user = self.make_user()
        disabled = self.make_user(enabled=False)
        answers = []
        for name, password in (
            (user['username'], 'wrong password'),
            ('nobody-here', 'wrong password'),
            (disabled['username'], PASSWORD),
        ):
            before = time.monotonic()
            answers.append(
                self.refused(
                    401,
                    'LOGIN_FAILED',
                    'POST',
                    'auth/login',
                    {'username': name, 'password': password},
                    Client(self.server),
                )
            )
            # The work of a hash is done for each of them.
            self.assertGreater(time.monotonic() - before, 0.005)
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0], answers[2])

    def test_bodies_of_a_login(self):
        nobody = Client(self.server)
        self.refused(400, 'FIELD_MISSING', 'POST', 'auth/login', {'username': 'x'}, nobody, 'password')
        self.refused(
            400,
            'FIELD_UNKNOWN',
            'POST',
            'auth/login',
            {'username': 'x', 'password': 'y', 'otp': '1'},
            nobody,
            'otp',
        )
        self.refused(400, 'BODY_INVALID', 'POST', 'auth/login', b'{"username":', nobody)
        self.refused(400, 'BODY_INVALID', 'POST', 'auth/login', b'{"a":1,"a":2}', nobody)
        self.refused(400, 'BODY_INVALID', 'POST', 'auth/login', b'', nobody)
        self.refused(413, 'BODY_TOO_LARGE', 'POST', 'auth/login', b' ' * 20000, nobody)

    def dead(self, client):
        """Checks that a session opens nothing."""
        self.refused(401, 'AUTH_INVALID', 'GET', 'auth/me', None, client)
        self.refused(401, 'AUTH_INVALID', 'GET', 'runs', None, client)

    def test_logout(self):
        user, client = self.member('viewer')
        other = self.login(user['username'])
        client.post('auth/logout')
        self.dead(client)
        other.get('auth/me')

    def test_changed_password(self):
        user, client = self.member('viewer')
        other = self.login(user['username'])
        body = {'current_password': 'something else', 'password': 'another good one'}
        self.refused(400, 'FIELD_INVALID', 'PUT', 'auth/password', body, client, 'current_password')
        client.get('auth/me')
        self.refused(
            400,
            'FIELD_INVALID',
            'PUT',
            'auth/password',
            {'current_password': PASSWORD, 'password': 'short'},
            client,
            'password',
        )
        client.put('auth/password', {'current_password': PASSWORD, 'password': 'another good one'})
        self.dead(client)
        self.dead(other)
        self.login(user['username'], 'another good one')
        self.refused(
            401,
            'LOGIN_FAILED',
            'POST',
            'auth/login',
            {'username': user['username'], 'password': PASSWORD},
            Client(self.server),
        )

    def test_an_administrator_ends_them(self):
        for change in ({'enabled': False}, {'role': 'viewer'}, {'password': 'set by the admin'}):
            user, client = self.member('operator')
            client.get('auth/me')
            self.admin.put(f'users/{user["id"]}', change)
            self.dead(client)
        user, client = self.member('operator')
        self.admin.delete(f'users/{user["id"]}')
        self.dead(client)

    def test_forged_tokens(self):
        _, client = self.member('viewer')
        header, payload, signature = client.token.split('.')
        none = 'eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0'
        for token in (
            f'{header}.{payload}.{signature[:-2]}AA',
            f'{header}.{payload}.',
            f'{none}.{payload}.',
            f'{none}.{payload}.{signature}',
            'x',
            'bxk_' + 43 * 'A',
            'bxn_' + 43 * 'A',
            5000 * 'a',
        ):
            self.refused(401, 'AUTH_INVALID', 'GET', 'auth/me', None, Client(self.server, token))
        self.refused(
            401,
            'AUTH_INVALID',
            'GET',
            'auth/me',
            None,
            Client(self.server),
            headers={'Authorization': 'Basic YTpi'},
        )
        answer = Client(self.server).raw('GET', 'auth/me')
        self.assertEqual(answer[0], 401)
        self.assertIn('Bearer', answer[1]['WWW-Authenticate'])

    def test_sessions_survive_a_restart(self):
        _, client = self.member('viewer')
        self.suite.restart('api')
        client.get('auth/me')

    def test_cookies_need_a_header_for_changes(self):
        _, client = self.member('admin')
        cookie = {'Cookie': f'other=1; backupx_session={client.token}'}
        browser = Client(self.server)
        self.assertEqual(browser.request('GET', 'auth/me', headers=cookie)[0], 200)
        body = {'name': self.unique('node')}
        self.refused(403, 'CSRF_REFUSED', 'POST', 'nodes', body, browser, headers=cookie)
        status, answer = browser.request('POST', 'nodes', body, {**cookie, 'X-BackupX': '1'})
        self.assertEqual(status, 201, answer)
        # A token in a header is never sent by a foreign page.
        self.assertEqual(client.request('DELETE', f'nodes/{answer["data"]["id"]}')[0], 200)


class Users(HttpCase):
    """Accounts."""

    def test_life(self):
        user = self.make_user('viewer')
        self.assertNotIn('password', json.dumps(user).replace('password_changed_at', ''))
        self.assertEqual(self.admin.get(f'users/{user["id"]}'), user)
        changed = self.admin.put(f'users/{user["id"]}', {'role': 'operator'})
        self.assertEqual((changed['role'], changed['username']), ('operator', user['username']))
        self.admin.delete(f'users/{user["id"]}')
        self.refused(404, 'USER_NOT_FOUND', 'GET', f'users/{user["id"]}')
        self.refused(404, 'USER_NOT_FOUND', 'PUT', f'users/{user["id"]}', {})
        self.refused(404, 'USER_NOT_FOUND', 'DELETE', f'users/{user["id"]}')

    def test_refusals(self):
        user = self.make_user()
        base = {'username': 'fine', 'password': PASSWORD, 'role': 'viewer'}
        for change, code, field in (
            ({'username': user['username']}, (409, 'USER_EXISTS'), 'username'),
            ({'username': ''}, (400, 'FIELD_INVALID'), 'username'),
            ({'username': 'a/b'}, (400, 'FIELD_INVALID'), 'username'),
            ({'username': 'x' * 200}, (400, 'FIELD_INVALID'), 'username'),
            ({'password': 'short'}, (400, 'FIELD_INVALID'), 'password'),
            ({'password': 'x' * 257}, (400, 'FIELD_INVALID'), 'password'),
            ({'password': 'with\nline end'}, (400, 'FIELD_INVALID'), 'password'),
            ({'password': 12345678}, (400, 'FIELD_INVALID'), 'password'),
            ({'role': 'root'}, (400, 'FIELD_INVALID'), 'role'),
            ({'enabled': 1}, (400, 'FIELD_INVALID'), 'enabled'),
            ({'passwort': 'x'}, (400, 'FIELD_UNKNOWN'), 'passwort'),
        ):
            self.refused(*code, 'POST', 'users', {**base, **change}, field=field)
        self.refused(
            400, 'FIELD_MISSING', 'POST', 'users', {'username': 'x', 'password': PASSWORD}, field='role'
        )
        # 256 bytes are a password like any other: what is taken can be used.
        long = self.make_user(password='x' * 256)
        self.login(long['username'], 'x' * 256)

    def test_the_last_admin_stays(self):
        me = self.admin.get('auth/me')['id']
        others = [
            user for user in self.admin.items('users') if user['role'] == 'admin' and user['id'] != me
        ]
        for user in others:
            self.admin.delete(f'users/{user["id"]}')
        for change in ({'role': 'operator'}, {'enabled': False}):
            self.refused(409, 'LAST_ADMIN', 'PUT', f'users/{me}', change)
        self.refused(409, 'LAST_ADMIN', 'DELETE', f'users/{me}')
        # A disabled administrator is none.
        second = self.make_user('admin')
        self.admin.put(f'users/{second["id"]}', {'enabled': False})
        self.refused(409, 'LAST_ADMIN', 'DELETE', f'users/{me}')
        self.assertEqual(self.admin.get('auth/me')['role'], 'admin')
        self.admin.delete(f'users/{second["id"]}')

    def test_two_admins_cannot_demote_each_other(self):
        me = self.admin.get('auth/me')['id']
        second, client = self.member('admin')
        for _ in range(5):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                list(
                    pool.map(
                        lambda a: a[0].request('PUT', f'users/{a[1]}', {'role': 'viewer'}),
                        ((client, me), (self.admin, second['id'])),
                    )
                )
            client = self.login(second['username'])
            left = [each for each in (self.admin, client) if each.get('auth/me')['role'] == 'admin']
            self.assertTrue(left)
            left[0].put(f'users/{me}', {'role': 'admin'})
            self.admin.put(f'users/{second["id"]}', {'role': 'admin'})
            client = self.login(second['username'])
        self.admin.delete(f'users/{second["id"]}')

    def test_a_new_password_undoes_nothing(self):
        """While a password is hashed somebody else demotes the user: that stays."""
        for _ in range(8):
            user = self.make_user('admin')
            path = f'users/{user["id"]}'
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                first = pool.submit(self.admin.put, path, {'password': 'set by the admin'})
                second = pool.submit(self.admin.put, path, {'role': 'viewer'})
                first.result()
                second.result()
            self.assertEqual(self.admin.get(path)['role'], 'viewer')
            self.login(user['username'], 'set by the admin')
            self.admin.delete(path)


class ApiKeys(HttpCase):
    """Keys of programs."""

    def test_life(self):
        _, client = self.member('operator')
        key = client.post('api-keys', {'name': 'ci'})
        self.assertTrue(key['key'].startswith('bxk_'))
        self.assertEqual(key['role'], 'operator')
        program = Client(self.server, key['key'])
        self.assertEqual(program.get('auth/me')['api_key_id'], key['id'])
        listed = client.get('api-keys')['items']
        self.assertEqual([item['name'] for item in listed], ['ci'])
        self.assertNotIn('key', listed[0])
        self.refused(409, 'API_KEY_EXISTS', 'POST', 'api-keys', {'name': 'ci'}, client, 'name')
        self.refused(409, 'CONFLICT', 'POST', 'auth/logout', {}, program)
        self.refused(
            403,
            'FORBIDDEN',
            'PUT',
            'auth/password',
            {'current_password': PASSWORD, 'password': PASSWORD},
            program,
        )
        client.delete(f'api-keys/{key["id"]}')
        self.refused(401, 'AUTH_INVALID', 'GET', 'auth/me', None, program)
        self.refused(404, 'API_KEY_NOT_FOUND', 'DELETE', f'api-keys/{key["id"]}', None, client)

    def test_power(self):
        user, client = self.member('operator')
        self.refused(
            403, 'FORBIDDEN', 'POST', 'api-keys', {'name': 'x', 'role': 'admin'}, client, 'role'
        )
        self.refused(
            400,
            'FIELD_INVALID',
            'POST',
            'api-keys',
            {'name': 'x', 'expires_at': '2001-01-01T00:00:00Z'},
            client,
            'expires_at',
        )
        self.refused(
            400, 'FIELD_UNKNOWN', 'POST', 'api-keys', {'name': 'x', 'user_id': 1}, client, 'user_id'
        )
        key = client.post('api-keys', {'name': 'x', 'role': 'operator'})
        program = Client(self.server, key['key'])
        # A key is never more than its user is now.
        self.admin.put(f'users/{user["id"]}', {'role': 'viewer'})
        self.assertEqual(program.get('auth/me')['role'], 'viewer')
        self.refused(403, 'FORBIDDEN', 'POST', 'tasks', {}, program)
        self.admin.put(f'users/{user["id"]}', {'enabled': False})
        self.refused(401, 'AUTH_INVALID', 'GET', 'auth/me', None, program)

    def test_others_keys(self):
        _, first = self.member('operator')
        _, second = self.member('operator')
        key = first.post('api-keys', {'name': 'mine'})
        self.assertEqual(second.get('api-keys')['items'], [])
        self.refused(404, 'API_KEY_NOT_FOUND', 'DELETE', f'api-keys/{key["id"]}', None, second)
        self.assertIn(key['id'], [item['id'] for item in self.admin.items('api-keys')])
        self.admin.delete(f'api-keys/{key["id"]}')

    def test_expiry(self):
        soon = time.time() + 5
        text = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(soon)) + f'.{int(soon * 1000) % 1000:03}Z'
        key = self.admin.post('api-keys', {'name': 'short', 'role': 'viewer', 'expires_at': text})
        program = Client(self.server, key['key'])
        status, _ = program.request('GET', 'auth/me')
        if time.time() < soon:
            self.assertEqual(status, 200)
        time.sleep(max(0, soon - time.time()) + 0.3)
        self.refused(401, 'AUTH_INVALID', 'GET', 'auth/me', None, program)


class Throttling(HttpCase):
    """Guesses."""

    def guess(self, name, password='wrong password'):
        """(status, headers) of a login."""
        status, headers, _ = Client(self.server).raw(
            'POST', 'auth/login', {'username': name, 'password': password}
        )
        return status, headers

    def test_account(self):
        for name in (self.make_user()['username'], 'nobody-at-all'):
            answers = [self.guess(name)[0] for _ in range(5)]
            self.assertEqual(answers, 5 * [401])
            for _ in range(12):
                status, headers = self.guess(name)
                if status == 429:
                    break
            self.assertEqual(status, 429)
            wait = int(headers['Retry-After'])
            self.assertGreaterEqual(wait, 1)
            # Not even the right password is looked at now.
            start = time.monotonic()
            status, _ = self.guess(name, PASSWORD)
            if time.monotonic() - start < wait / 2:
                self.assertEqual(status, 429)

    def test_parallel_guesses_are_counted(self):
        name = self.make_user()['username']
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = [status for status, _ in pool.map(lambda _: self.guess(name), range(12))]
        # Six, and one for each pause that a slow machine let pass.
        self.assertLessEqual(answers.count(401), 6 + int(time.monotonic() - start))
        self.assertEqual(answers.count(401) + answers.count(429), 12)


class ThrottlingOfAddresses(HttpCase):
    """Guesses at many accounts from one place."""

    def test_address(self):
        answers = []
        for number in range(24):
            status, _, _ = Client(self.server).raw(
                'POST', 'auth/login', {'username': f'name-{number}', 'password': 'wrong password'}
            )
            answers.append(status)
        self.assertEqual(answers[:20], 20 * [401])
        self.assertIn(429, answers[20:])
        # Who has a session or a key is not concerned.
        self.admin.get('auth/me')


class Roles(HttpCase):
    """Every route with every role: the table is the law."""

    def routes(self):
        """The table as the daemon prints it."""
        text = subprocess.run(
            [self.suite.program('api'), '--list-routes'], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        for line in text.splitlines():
            method, path, access, *_ = line.split(' ')
            yield method, path, access

    @staticmethod
    def concrete(path):
        """A path to something that is not there."""
        return path.replace('{id}', '999999').replace('{key*}', 'x/y')

    def call(self, method, path, token):
        """(status, code) of a request without a sensible body; streams are not read."""
        connection = http.client.HTTPConnection('127.0.0.1', self.suite.port, timeout=60)
        headers = {'Authorization': f'Bearer {token}'} if token else {}
        connection.request(method, path, b'{}' if method in ('POST', 'PUT') else None, headers)
        response = connection.getresponse()
        code = ''
        if response.getheader('Content-Type') == 'application/json':
            code = json.loads(response.read() or b'{}').get('code', '')
        connection.close()
        return response.status, code

    def test_walk(self):
        tokens = {role: self.member(role)[1].token for role in ROLES}
        node = self.admin.post('nodes', {'name': self.unique('walker')})['token']
        seen = 0
        for method, path, access in self.routes():
            where = self.concrete(path)
            with self.subTest(method=method, path=path):
                seen += 1
                status, code = self.call(method, where, None)
                if access == 'public':
                    self.assertNotIn(code, ('AUTH_REQUIRED', 'FORBIDDEN'))
                    continue
                self.assertEqual(status, 401, f'{method} {path} without a credential')
                if access in ('node', 'relay'):
                    for role in ROLES:
                        self.assertEqual(self.call(method, where, tokens[role])[0], 401)
                    if access == 'relay':
                        self.assertEqual(self.call(method, where, node)[0], 401)
                    continue
                self.assertEqual(
                    self.call(method, where, node)[0], 401, f'{method} {path} with a node token'
                )
                for role in ROLES:
                    if path == '/api/v1/auth/logout':
                        continue
                    status, code = self.call(method, where, tokens[role])
                    if ROLES.index(role) < ROLES.index(access):
                        self.assertEqual(
                            (status, code), (403, 'FORBIDDEN'), f'{method} {path} as {role}'
                        )
                    else:
                        self.assertNotIn(status, (401, 403), f'{method} {path} as {role}: {code}')
        self.assertGreater(seen, 50)

    def test_a_viewer_changes_nothing(self):
        _, viewer = self.member('viewer')
        audit = self.admin.get('audit?limit=1')['items'][0]['id']
        for method, path, access in self.routes():
            if method != 'GET' and access in ('operator', 'admin'):
                self.assertEqual(self.call(method, self.concrete(path), viewer.token)[0], 403)
        self.assertEqual(self.admin.get('audit?limit=1')['items'][0]['id'], audit)


if __name__ == '__main__':
    unittest.main()
