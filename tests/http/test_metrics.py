#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The metrics of the real API, judged by Prometheus's own tool; the alert rules and the dashboard, whose
every query has to find a metric that there is."""

import json
import pathlib
import re
import sqlite3
import subprocess
import unittest
import urllib.parse

from agent_fake import FakeAgent
from client import Client
from http_case import HttpCase, free_port, wait_until
from processes import Process, clean_environment

MONITORING = pathlib.Path(__file__).resolve().parents[2] / 'packaging' / 'monitoring'
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'metrics.md'
# Prometheus makes it for each target.
FOREIGN = {'up'}


def promtool(*arguments, text=None):
    """Runs promtool; the completed process, its output as one text."""
    return subprocess.run(
        ['promtool', *map(str, arguments)],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def names_in(query):
    """Our metrics (and those that are Prometheus's own) in a query."""
    return set(re.findall(r'\b(?:backupx_\w+|up)\b', re.sub(r'"[^"]*"', '', query)))


def queries_of_rules():
    """The expressions of all alerts."""
    text = (MONITORING / 'backupx.rules.yml').read_text()
    return re.findall(r'^ +expr: (.*)$', text, re.MULTILINE)


class MetricsCase(HttpCase):
    """What a scraper gets."""

    def scrape(self, client=None):
        """The text of one scrape."""
        status, headers, body = (client or self.admin).raw('GET', '/metrics')
        self.assertEqual((status, headers['Content-Type']), (200, 'text/plain; version=0.0.4'))
        return body.decode()

    def values(self, name):
        """{labels: value} of one metric."""
        found = re.findall(rf'^backupx_{name}(?:\{{(.*)\}})? (\S+)$', self.scrape(), re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def value(self, name, part=''):
        """The value of the one series whose labels have this part."""
        found = [value for labels, value in self.values(name).items() if part in labels]
        self.assertEqual(len(found), 1, (name, part, found))
        return found[0]

    def busy_node(self):
        """A node with a name that needs escaping, and its agent, which speaks; (id, agent)."""
        name = self.unique('a "node"')
        made = self.admin.post('nodes', {'name': name})
        agent = FakeAgent(self.suite, made['token'])
        self.addCleanup(agent.close)
        agent.heartbeat()
        wait_until(lambda: self.admin.get(f'nodes/{made["id"]}')['status'] == 'online')
        return made['id'], agent


class Exposition(MetricsCase):
    """The text and the values."""

    def test_promtool(self):
        node, agent = self.busy_node()
        self.make_target()
        self.assertIsNotNone(agent)
        self.assertEqual(self.value('node_online', f'node_id="{node}"'), 1)
        checked = promtool('check', 'metrics', text=self.scrape())
        self.assertEqual((checked.returncode, checked.stdout), (0, ''))

    def test_every_metric_is_described(self):
        text = DOCUMENT.read_text()
        described = set(re.findall(r'^\| `(backupx_\w+)`', text, re.MULTILINE))
        exported = set(re.findall(r'^# TYPE (\w+)', self.scrape(), re.MULTILINE))
        self.assertEqual(described, exported)

    def test_series_of_deleted_objects_go_away(self):
        node, _ = self.busy_node()
        self.assertIn(f'node_id="{node}"', self.scrape())
        self.admin.delete(f'nodes/{node}')
        self.assertNotIn(f'node_id="{node}"', self.scrape())

    def test_a_run_is_counted(self):
        node, agent = self.busy_node()
        target = self.make_target()
        name = self.unique('counted')
        body = {
            'name': name,
            'type': 'file',
            'source': {'paths': ['/etc']},
            'target_ids': [target['id']],
            'node_id': node,
        }
        task = self.admin.post('tasks', body)['id']
        of_node, of_task = f'node_id="{node}"', f'task_id="{task}"'
        self.assertIn('state="none"', next(k for k in self.values('task_last_state') if of_task in k))
        failed = 'kind="backup",type="file",state="failed"'
        before = self.values('runs_ended_total').get(failed, 0)
        delivered = self.value('command_dispatch_seconds_count')
        waited = self.value('run_queue_wait_seconds_count')
        self.admin.post(f'tasks/{task}/run')
        wait_until(lambda: self.value('agent_command_queue_depth', of_node) == 1)
        command = agent.claim_one(45)
        agent.accept(command)
        self.assertEqual(self.value('agent_command_queue_depth', of_node), 0)
        self.assertEqual(self.value('agent_command_running', of_node), 1)
        self.assertEqual(self.value('command_dispatch_seconds_count'), delivered + 1)
        self.assertEqual(self.value('run_queue_wait_seconds_count'), waited + 1)
        agent.result(command, 'failed')
        wait_until(lambda: self.values('runs_ended_total').get(failed, 0) == before + 1)
        self.assertEqual(self.value('agent_command_running', of_node), 0)
        self.assertIn('state="failed"', next(k for k in self.values('task_last_state') if of_task in k))
        self.assertEqual(self.value('agent_command_timeout_total', of_node), 0)
        # The row goes, as clean-up deletes it; the total stays.
        with sqlite3.connect(self.suite.master_state / 'backupx.db', timeout=60) as database:
            database.execute('DELETE FROM commands')
            database.execute('DELETE FROM runs')
        self.assertEqual(self.values('runs_ended_total')[failed], before + 1)

    def test_recovery_kit(self):
        missing = self.value('recovery_kit_missing', 'what="targets"')
        self.make_target()
        self.assertEqual(self.value('recovery_kit_missing', 'what="targets"'), missing + 1)
        self.assertEqual(self.value('recovery_kit_timestamp_seconds'), 0)
        said = self.member('viewer')[1].get('recovery-kit')
        self.assertEqual((said['written'], said['is_old'], said['missing']['targets']), (None, True, missing + 1))

    def test_requests_are_counted(self):
        def count():
            return self.values('http_requests_total').get('class="unknown",status="404"', 0)

        before = count()
        self.admin.request('GET', '/nothing-here')
        self.assertEqual(count(), before + 1)

    def test_a_viewers_key_is_enough(self):
        self.assertIn('backupx_build_info', self.scrape(self.member('viewer')[1]))


class Monitoring(MetricsCase):
    """Rules and dashboard."""

    def exported(self):
        """All names that a scrape has, and those that Prometheus makes of them."""
        names = set(re.findall(r'^# TYPE (\w+)', self.scrape(), re.MULTILINE))
        return names | {f'{name}_bucket' for name in names} | FOREIGN

    def test_rules(self):
        for command in (('check', 'rules', MONITORING / 'backupx.rules.yml'),
                        ('test', 'rules', MONITORING / 'backupx.rules.test.yml')):
            done = promtool(*command)
            self.assertEqual(done.returncode, 0, done.stdout)
        rules = re.findall(r'alert: (\w+)', (MONITORING / 'backupx.rules.yml').read_text())
        tested = (MONITORING / 'backupx.rules.test.yml').read_text()
        for rule in rules:
            self.assertRegex(tested, rf'alertname: {rule}\n +exp_alerts:\n', f'{rule} is never seen to fire')

    def test_names_in_rules(self):
        queries = queries_of_rules()
        self.assertGreater(len(queries), 8)
        for query in queries:
            self.assertTrue(names_in(query))
            self.assertEqual(names_in(query) - self.exported(), set(), query)

    def test_dashboard(self):
        dashboard = json.loads((MONITORING / 'backupx-dashboard.json').read_text())
        queries = [target['expr'] for panel in dashboard['panels'] for target in panel['targets']]
        exported = self.exported()
        for query in queries:
            self.assertTrue(names_in(query))
            self.assertEqual(names_in(query) - exported, set(), query)
        # promtool parses expressions where they stand in rules.
        rules = {'groups': [{'name': 'dashboard', 'rules': [
            {'record': f'panel:{i}', 'expr': query} for i, query in enumerate(queries)]}]}
        file = self.suite.folder / 'dashboard.rules.yml'
        file.write_text(json.dumps(rules))
        done = promtool('check', 'rules', file)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f'{len(queries)} rules found', done.stdout)

    def test_scrape_configuration(self):
        text = (MONITORING / 'prometheus.yml').read_text()
        key = self.suite.folder / 'key'
        key.write_text(self.admin.token)
        text = text.replace('/etc/prometheus/backupx.key', str(key))
        text = text.replace('/usr/share/backupx/monitoring', str(MONITORING))
        file = self.suite.folder / 'prometheus.yml'
        file.write_text(text)
        done = promtool('check', 'config', file)
        self.assertEqual(done.returncode, 0, done.stdout)


class Prometheus(MetricsCase):
    """The real one, with the configuration and the rules that we ship, at a quicker pace."""

    def setUp(self):
        folder = self.suite.folder / self.unique('prometheus')
        folder.mkdir()
        key = folder / 'key'
        key.write_text(self.admin.post('api-keys', {'name': self.unique('scrape'), 'role': 'viewer'})['key'])
        text = (MONITORING / 'prometheus.yml').read_text()
        for shipped, ours in (
            ('/etc/prometheus/backupx.key', str(key)),
            ('/usr/share/backupx/monitoring', str(MONITORING)),
            ('127.0.0.1:8340', f'127.0.0.1:{self.suite.port}'),
            ('scrape_interval: 30s', 'scrape_interval: 1s'),
        ):
            self.assertIn(shipped, text)
            text = text.replace(shipped, ours)
        file = folder / 'prometheus.yml'
        file.write_text(f'global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{text}')
        port = free_port()
        self.client = Client(f'http://127.0.0.1:{port}')
        command = ['prometheus', f'--config.file={file}', f'--storage.tsdb.path={folder}/data']
        command += [f'--web.listen-address=127.0.0.1:{port}', '--log.level=warn']
        self.prometheus = Process('prometheus', command, folder, clean_environment())
        self.addCleanup(self.prometheus.stop)
        self.prometheus.start(ready=False)

    def ask(self, path):
        """The data of an answer of Prometheus; None while it is not up."""
        try:
            status, answer = self.client.request('GET', f'/api/v1/{path}')
        except OSError:
            self.assertTrue(self.prometheus.running(), self.prometheus.tail())
            return None
        return answer['data'] if status == 200 else None

    def query(self, expression):
        """The value of the one series of an expression; None: there is none."""
        found = (self.ask(f'query?query={urllib.parse.quote(expression)}') or {}).get('result') or []
        self.assertLess(len(found), 2, found)
        return float(found[0]['value'][1]) if found else None

    def firing(self):
        """{(name of the alert, task): its annotations} of those that fire."""
        alerts = (self.ask('alerts') or {}).get('alerts') or []
        return {
            (a['labels']['alertname'], a['labels'].get('task')): a['annotations']
            for a in alerts
            if a['state'] == 'firing'
        }

    def test_scrapes_and_alerts(self):
        node, agent = self.busy_node()
        body = self.task_body(node_id=node)
        task = self.admin.post('tasks', body)
        online = f'backupx_node_online{{node_id="{node}"}}'
        wait_until(lambda: self.query(online) == 1, 60, 'a scrape')
        self.assertEqual(self.query('up{job="backupx"}'), 1)
        (target,) = self.ask('targets')['activeTargets']
        self.assertEqual((target['health'], target['lastError']), ('up', ''))
        failed = ('BackupXRunFailed', task['name'])
        self.assertNotIn(failed, self.firing())
        self.admin.post(f'tasks/{task["id"]}/run')
        command = agent.claim_one(45)
        agent.accept(command)
        agent.result(command, 'failed')
        wait_until(lambda: failed in self.firing(), 60, 'the alert')
        self.assertIn('is failed', self.firing()[failed]['summary'])
        # It goes with the next run that ends well.
        self.admin.post(f'tasks/{task["id"]}/run')
        command = agent.claim_one(45)
        agent.accept(command)
        agent.result(command, 'cancelled')
        wait_until(lambda: failed not in self.firing(), 60, 'the end of the alert')
        rules = self.ask('rules')['groups'][0]['rules']
        self.assertEqual({rule['health'] for rule in rules}, {'ok'}, rules)
        self.assertEqual(len(rules), len(queries_of_rules()))


if __name__ == '__main__':
    unittest.main()
