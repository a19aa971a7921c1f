#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups and restores through the real units: what jobs see, what they may write, how they end."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import postgres  # noqa: E402
from installed_guest import FINAL_STATES, InstalledGuest, skip_where_impossible  # noqa: E402
from processes import Failed  # noqa: E402
from suite import ROOT  # noqa: E402

skip_where_impossible()
guest = InstalledGuest('jobs')

# Makes a tree of everything that only root can make, in the guest.
SYSTEM_TREE = r'''
mkdir -p "$1/sub/empty"; cd "$1"
echo data >plain; chown 54321:54322 plain; chmod 640 plain
mknod null c 1 3; mknod loop b 7 0; mkfifo pipe; chown 54321:0 pipe
ln -s plain link; ln -s /nowhere dangling; ln plain hard; chown -h 54321:54322 link
echo acl >acl; setfacl -m u:54321:r,g:54322:rw acl
mkdir inherits; setfacl -d -m u:54321:rwx inherits
cp /bin/true capable; setcap cap_net_raw+ep capable
cp /bin/true setuid; chown 54321 setuid; chmod 6755 setuid
printf 'x' | setfattr -n user.note -v 'a value' plain
truncate -s 8M sparse; echo end >>sparse
printf 'name\n' >"$(printf 'new\nline')"; printf 'bytes\n' >"$(printf 'caf\351')"
touch -d '2001-02-03 04:05:06.123456789' plain
touch -d '2001-02-03 04:05:06.5' sub
'''

# Hooks of a service that is not to write while its files are copied: $1 is what the pre hook does last.
HOOKS = r'''
cd /etc/backupx-agent/hooks.d; mkdir -p /srv/snapshot
cat >freeze <<END
#!/bin/sh
set -e
echo "pre \$(id -u)" >>/srv/trace
systemctl stop app
mount -t tmpfs snapshot /srv/snapshot
echo consistent >/srv/snapshot/file
$1
END
cat >thaw <<END
#!/bin/sh
echo "post \$BACKUPX_STATE \$(systemctl is-active app)" >>/srv/trace
umount /srv/snapshot
systemctl start app
END
chmod 755 freeze thaw; rm -f /srv/trace
'''

# Lists a tree with everything that a restore has to bring back; run in the guest, so that owners are its own.
LISTING = r'''
cd "$1"
find . -mindepth 1 ! -type s ! -type d -printf '%y %m %U %G %s %T@ %l %n %P\n' | LC_ALL=C sort
find . -mindepth 1 -type d -printf '%y %m %U %G %T@ %P\n' | LC_ALL=C sort
find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | LC_ALL=C sort
find . -type f -exec sha256sum {} + | LC_ALL=C sort
getfacl -R -n -p . ; getcap -r . ; getfattr -R -h -d -m '^user' .
'''


def setUpModule():
    """Boots one guest for all tests, with the suite running."""
    guest.make_root()
    guest.boot()
    guest.start_suite()


def tearDownModule():
    """Ends it."""
    guest.close()


def listing(path):
    """Everything about a tree, as text."""
    return guest.run('bash', '-euc', LISTING, 'listing', path).stdout


def backup(name, paths, targets, **more):
    """A task and one run of it to its end; the run."""
    return guest.wait_run(guest.start_run(guest.make_task(name, paths, targets, **more)))


class Jobs(unittest.TestCase):
    """Each test makes its own targets and tasks."""

    def assert_state(self, run, state):
        """The run ended so; its log is the message otherwise."""
        if run['state'] != state:
            self.fail(
                f'run {run["id"]} is {run["state"]}, not {state}: {run["error"]} {run["errors"]}\n'
                f'{guest.journal("-n", "60", "BACKUPX_RUN=%d" % run["id"])}'
            )

    def test_01_system_tree(self):
        """A tree of everything comes back through the restore unit with owners, devices, ACLs, capabilities."""
        guest.run('bash', '-euc', SYSTEM_TREE, 'tree', '/srv/tree')
        for encryption in ('none', 'sealed'):
            run = backup(
                f'tree-{encryption}',
                ['/srv/tree'],
                [guest.make_target(f'tree-{encryption}')],
                encryption=encryption,
            )
            self.assert_state(run, 'succeeded')
            again = guest.restore(run['id'], f'/srv/back-{encryption}')
            self.assert_state(again, 'succeeded')
            self.assertEqual(listing('/srv/tree'), listing(f'/srv/back-{encryption}/srv/tree'))

    def test_02_nothing_is_hidden(self):
        """A job sees /tmp, /home, /root, /dev, kernel modules and another user's 0600 file as they are."""
        guest.shell(
            'useradd -m alice; install -o alice -m 0600 /dev/null /home/alice/private; '
            'echo secret >/home/alice/private; echo root >/root/of-root; chmod 600 /root/of-root; '
            'echo tmp >/tmp/in-tmp; echo var >/var/tmp/in-var-tmp; mkdir -p /usr/lib/modules/x; '
            'echo m >/usr/lib/modules/x/m; echo run >/run/in-run'
        )
        paths = [
            '/tmp/in-tmp',
            '/var/tmp/in-var-tmp',
            '/home/alice',
            '/root/of-root',
            '/usr/lib/modules/x',
            '/dev',
            '/run/in-run',
        ]
        run = backup('hidden', paths, [guest.make_target('hidden')])
        self.assert_state(run, 'succeeded')
        self.assert_state(guest.restore(run['id'], '/srv/seen'), 'succeeded')
        for path in paths[:-2] + ['/run/in-run']:
            self.assertEqual(
                guest.run('diff', '-r', path, f'/srv/seen{path}', check=False).stdout, '', path
            )
        self.assertEqual(
            guest.shell('stat -c "%a %U" /srv/seen/home/alice/private').strip(), '600 alice'
        )
        nodes = (
            r'cd "$1"; find . \( -type b -o -type c \) ! -path "./pts/*" '
            r'-exec stat -c "%n %t:%T %a %u %g" {} + | sort'
        )
        self.assertEqual(
            guest.run('bash', '-euc', nodes, 'nodes', '/dev').stdout,
            guest.run('bash', '-euc', nodes, 'nodes', '/srv/seen/dev').stdout,
        )

    def test_03_writes_only_where_allowed(self):
        """A target outside the allowed directories is refused with the command that would allow it; then it works."""
        guest.shell('mkdir -p /srv/elsewhere')
        target = guest.make_target('elsewhere', '/srv/elsewhere/backups')
        task = guest.make_task('elsewhere', ['/etc/hostname'], [target])
        run = guest.wait_run(guest.start_run(task))
        self.assert_state(run, 'failed')
        self.assertIn('backupx agent allow-storage', str(run))
        self.assertEqual(guest.run('find', '/srv/elsewhere', '-mindepth', '1').stdout, '')
        guest.shell('mkdir /srv/elsewhere/backups; backupx agent allow-storage /srv/elsewhere/backups')
        self.assert_state(guest.wait_run(guest.start_run(task)), 'succeeded')
        self.assertNotEqual(guest.run('find', '/srv/elsewhere/backups', '-name', 'manifest*').stdout, '')

    def test_04_sandbox_of_a_job(self):
        """The kernel, not the program, keeps a job from writing: everything but the allowed directories."""
        probe = """#!/bin/bash
for d in / /etc /srv /home /root /tmp /var/tmp /dev /dev/shm /run /var/lib /usr /var/lib/backupx-agent \\
        /var/lib/backupx-agent/results/.. /proc/sys/kernel; do
        touch "$d/.write-test" 2>/dev/null && echo "wrote $d"
done
touch /var/lib/backupx-agent/storage/.write-test && echo wrote storage
mknod /var/lib/backupx-agent/storage/node c 1 3 2>/dev/null && echo wrote node
head -c 1 /proc/kcore >/dev/null 2>&1 && echo read kcore
exit 0
"""
        guest.run(
            'bash', '-c', 'cat >/usr/lib/backupx/probe; chmod 755 /usr/lib/backupx/probe', stdin=probe
        )
        for kind in ('backup', 'probe'):
            folder = f'/run/systemd/system/backupx-{kind}@.service.d'
            drop_in = '[Service]\nType=oneshot\nExecStart=\nExecStart=/usr/lib/backupx/probe\n'
            guest.run(
                'bash',
                '-c',
                f'mkdir -p {folder}; cat >{folder}/probe.conf; systemctl daemon-reload',
                stdin=drop_in,
            )
            guest.run('systemctl', 'start', f'backupx-{kind}@probe.service')
            text = guest.journal('-u', f'backupx-{kind}@probe.service', '-o', 'cat')
            guest.shell(
                f'rm -r {folder} /var/lib/backupx-agent/storage/.write-test; systemctl daemon-reload'
            )
            found = [line for line in text.splitlines() if line.startswith(('wrote', 'read'))]
            self.assertEqual(found, ['wrote storage'], text)

    def test_05_relay(self):
        """A relay target stores on the master's disk, through the API; restore reads it back."""
        guest.shell(
            'mkdir -p /srv/relayed; head -c 20M /dev/urandom >/srv/relayed/big; echo small >/srv/relayed/small'
        )
        run = backup(
            'relayed', ['/srv/relayed'], [guest.make_target('vault', kind='relay')], encryption='sealed'
        )
        self.assert_state(run, 'succeeded')
        owners = guest.shell('find /var/lib/backupx/relay -type f -printf "%u %m\\n" | sort -u').split(
            '\n'
        )
        self.assertEqual([owner.split()[0] for owner in owners if owner], ['backupx-api'])
        self.assert_state(guest.restore(run['id'], '/srv/from-relay'), 'succeeded')
        self.assertEqual(listing('/srv/relayed'), listing('/srv/from-relay/srv/relayed'))

    def test_05b_repository(self):
        """In the sandboxes of the real units: made, written to again, looked into, restored."""
        targets = [guest.make_target('repository'), guest.make_target('repository-relay', kind='relay')]
        task = guest.make_task('repository', ['/etc/systemd', '/etc/hostname'], targets, format='repository')
        for unchanged in False, True:
            run = guest.wait_run(guest.start_run(task))
            self.assert_state(run, 'succeeded')
            self.assertEqual(run['files_unchanged'] > 0, unchanged)
        shown = guest.get(f'runs/{run["id"]}/entries?path=/etc')['items']
        self.assertEqual([entry['name'] for entry in shown], ['hostname', 'systemd'])
        cache = guest.run('find', '/var/cache/backupx-agent', '-type', 'f', '-printf', '%U %m %P\\n').stdout
        self.assertRegex(cache, r'\A([0-9]+ 600 [0-9a-f]{64}/(index|snapshots)/[0-9a-f]{64}\n)+\Z')
        guest.shell('rm -r /var/cache/backupx-agent/*')
        self.assertEqual(guest.get(f'runs/{run["id"]}/entries?path=/etc')['items'], shown)
        self.assert_state(guest.restore(run['id'], '/srv/of-repository'), 'succeeded')
        self.assertEqual(guest.run('diff', '-r', '/etc/systemd', '/srv/of-repository/etc/systemd').stdout, '')

    def test_05c_sqlite(self):
        """Databases of somebody else in the sandboxes of the real units: in use or left with a log, and replaced only
        when nobody has them open."""
        writer = ROOT / 'tests/databases/sqlite_writer.py'
        guest.run('bash', '-euc', 'cat >/srv/writer.py; install -d -o nobody -m 0700 /srv/databases',
                  stdin=writer.read_text())  # fmt: skip
        guest.shell('runuser -u nobody -- /usr/bin/python3 /srv/writer.py /srv/databases/left.db wal 1e9 die || :')
        self.assertIn('left.db-wal', guest.shell('ls /srv/databases'))
        self.addCleanup(guest.run, 'systemctl', 'stop', 'writer-wal', 'writer-delete', check=False)
        for journal in 'wal', 'delete':
            guest.run('systemd-run', '-q', f'--unit=writer-{journal}', '--uid=nobody', '/usr/bin/python3',
                      '/srv/writer.py', f'/srv/databases/{journal}.db', journal, '100')  # fmt: skip
            guest.wait(lambda unit=f'writer-{journal}': 'ready' in guest.journal('-u', unit), what='a database')
        for form in 'archive', 'repository':
            target = guest.make_target(f'sqlite-{form}')
            run = backup(f'sqlite-{form}', ['/srv/databases/*.db'], [target], type='sqlite', format=form)
            self.assert_state(run, 'succeeded')
            self.assertEqual(run['files'], 3)
        self.assertEqual(guest.shell('find /srv/databases ! -user nobody').strip(), '')
        self.assertEqual(guest.shell('ls -A /var/lib/backupx-agent/staging').strip(), '')
        in_place = {'destination': 'in_place', 'paths': [], 'conflict': 'overwrite'}
        again = guest.wait_run(guest.post(f'runs/{run["id"]}/restore', in_place)['run_id'])
        self.assertEqual(
            {error['path']: error['code'] for error in again['errors']},
            {f'/srv/databases/{journal}.db': 'SQLITE_IN_USE' for journal in ('wal', 'delete')},
        )
        guest.run('systemctl', 'stop', 'writer-wal', 'writer-delete')
        again = guest.wait_run(guest.post(f'runs/{run["id"]}/restore', in_place)['run_id'])
        self.assert_state(again, 'succeeded')
        self.assertEqual(guest.shell('ls /srv/databases').split(), ['delete.db', 'left.db', 'wal.db'])
        self.assertEqual(guest.shell('find /srv/databases ! -user nobody').strip(), '')
        for name in 'delete', 'left', 'wal':
            asked = "PRAGMA integrity_check; SELECT (SELECT n FROM state) - (SELECT count(*) FROM moves)"
            self.assertEqual(guest.run('sqlite3', f'/srv/databases/{name}.db', asked).stdout.split(), ['ok', '0'])

    def assert_probed(self, task):
        """The sandbox of a probe lets it ask the server, run the tools and write to the target."""
        report = guest.post('tasks/test', {'task_id': task})
        self.assertTrue(report['ok'], report)
        names = {item['name'] for item in report['items']}
        self.assertTrue({'server', 'privileges', 'tools', 'target'} <= names, report)
        server = guest.post('nodes/1/discover-databases', {'task_id': task})['server']
        self.assertIn('shop', [database['name'] for database in server['databases']], server)

    def test_05d_mysql(self):
        """The dump program within the sandbox of a backup, the client within that of a restore; nobody sees the
        password."""
        password = 'of-the-database-7f3c91'
        guest.shell(
            'install -d -o mysql /srv/mariadb; mariadb-install-db --no-defaults --user=mysql --datadir=/srv/mariadb/d '
            '--auth-root-authentication-method=normal --skip-test-db >/dev/null'
        )
        self.addCleanup(guest.run, 'systemctl', 'stop', 'test-mariadb', check=False)
        guest.run('systemd-run', '-q', '--unit=test-mariadb', 'mariadbd', '--no-defaults', '--user=mysql',
                  '--datadir=/srv/mariadb/d', '--socket=/srv/mariadb/s', '--skip-networking')  # fmt: skip

        def sql(text, check=True):
            client = ('mariadb', '--no-defaults', '-uroot', '-S', '/srv/mariadb/s', '-N')
            return guest.run(*client, stdin=text, check=check)

        guest.wait(lambda: sql('SELECT 1', check=False).returncode == 0, what='an answer of MariaDB')
        sql(f"CREATE USER backup@localhost IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO backup@localhost;"
            'CREATE DATABASE shop; USE shop; CREATE TABLE t (x INT); INSERT INTO t SELECT seq FROM seq_1_to_1000')
        for form in 'archive', 'repository':
            task = guest.post('tasks', {
                'name': f'mysql-{form}', 'type': 'mysql', 'format': form, 'secrets': {'password': password},
                'source': {'server': {'socket': '/srv/mariadb/s', 'user': 'backup'}, 'databases': ['shop']},
                'target_ids': [guest.make_target(f'mysql-{form}')],
            })['id']  # fmt: skip
            run = guest.wait_run(guest.start_run(task))
            self.assert_state(run, 'succeeded')
            self.assertEqual(run['files'], 2)
            to = {'destination': {'database': {'path': '/mysql/shop.sql', 'name': f'of_{form}'}}}
            again = guest.wait_run(guest.post(f'runs/{run["id"]}/restore', to)['run_id'])
            self.assert_state(again, 'succeeded')
            self.assertEqual(sql(f'SELECT count(*), sum(x) FROM of_{form}.t').stdout.split(), ['1000', '500500'])
        self.assert_probed(task)
        found = guest.run('grep', '-rlaF', password, '/var/lib/backupx', '/var/lib/backupx-agent', '/var/log/journal',
                          '/run', '/tmp', check=False)  # fmt: skip
        self.assertEqual(found.stdout, '')

    def test_05e_postgresql(self):
        """The same of PostgreSQL."""
        password = "of-the-database-91c:7f'3"
        programs = postgres.folders()[-1]
        guest.run('bash', '-euc', 'install -d -o postgres /srv/postgres; cat >/srv/postgres/password', stdin=password)
        guest.shell(
            f'cd /srv/postgres; runuser -u postgres -- {programs}/initdb -D d -U postgres --pwfile=password --no-sync '
            '--auth=scram-sha-256 --locale=C.UTF-8 >/dev/null; rm password'
        )
        self.addCleanup(guest.run, 'systemctl', 'stop', 'test-postgres', check=False)
        guest.run('systemd-run', '-q', '--unit=test-postgres', '--uid=postgres', f'{programs}/postgres', '-D',
                  '/srv/postgres/d', '-k', '/srv/postgres', '-c', 'listen_addresses=', '-c', 'fsync=off')  # fmt: skip

        def sql(text, database='postgres', check=True):
            client = (f'{programs}/psql', '-h', '/srv/postgres', '-U', 'postgres', '-XqAt', '-v', 'ON_ERROR_STOP=1')
            return guest.run(*client, database, stdin=text, check=check, environment={'PGPASSWORD': password})

        guest.wait(lambda: sql('SELECT 1', check=False).returncode == 0, what='an answer of PostgreSQL')
        sql('CREATE DATABASE shop')
        sql('CREATE TABLE t AS SELECT g x FROM generate_series(1, 1000) g', 'shop')
        for form in 'archive', 'repository':
            task = guest.post('tasks', {
                'name': f'postgresql-{form}', 'type': 'postgresql', 'format': form, 'secrets': {'password': password},
                'source': {'server': {'socket': '/srv/postgres', 'user': 'postgres'}, 'databases': ['shop']},
                'target_ids': [guest.make_target(f'postgresql-{form}')],
            })['id']  # fmt: skip
            run = guest.wait_run(guest.start_run(task))
            self.assert_state(run, 'succeeded')
            self.assertEqual(run['files'], 2)
            to = {'destination': {'database': {'path': '/postgresql/shop.dump', 'name': f'of_{form}'}}}
            again = guest.wait_run(guest.post(f'runs/{run["id"]}/restore', to)['run_id'])
            self.assert_state(again, 'succeeded')
            self.assertEqual(sql('SELECT count(*), sum(x) FROM t', f'of_{form}').stdout.strip(), '1000|500500')
        self.assert_probed(task)
        found = guest.run('grep', '-rlaF', password, '/var/lib/backupx', '/var/lib/backupx-agent', '/var/log/journal',
                          '/run', '/tmp', check=False)  # fmt: skip
        self.assertEqual(found.stdout, '')

    def test_06_one_of_two_targets(self):
        """A target that fails makes the run partial; the other holds the backup."""
        good, bad = guest.make_target('good'), guest.make_target('bad', '/srv/not-allowed')
        run = backup('two', ['/srv/tree'], [good, bad])
        self.assert_state(run, 'partial')
        states = {target['target_id']: target['state'] for target in run['targets']}
        self.assertEqual(states, {good: 'succeeded', bad: 'failed'})
        self.assert_state(guest.restore(run['id'], '/srv/two'), 'succeeded')
        self.assertEqual(listing('/srv/tree'), listing('/srv/two/srv/tree'))

    def test_07_journal(self):
        """journalctl BACKUPX_RUN= tells one run's story, across programs, with catalog texts."""
        run = backup('journal', ['/srv/tree'], [guest.make_target('journal')])
        self.assert_state(run, 'succeeded')

        def programs():
            story = guest.journal(f'BACKUPX_RUN={run["id"]}', '-o', 'json')
            return {
                line.split('"SYSLOG_IDENTIFIER":"')[1].split('"')[0]
                for line in story.splitlines()
                if '"SYSLOG_IDENTIFIER":"' in line
            }

        wanted = {'backupx-scheduler', 'backupx-dispatcher', 'backupx-agent'}
        # The run has ended a moment before that is in the journal.
        guest.wait(lambda: wanted <= programs(), what=f'{wanted} in the journal')
        explained = guest.wait(
            lambda: 'A run succeeded' in (text := guest.journal('-x', f'BACKUPX_RUN={run["id"]}')) and text,
            what='the end in the journal',
        )
        self.assertIn(
            'Defined-By: BackupX', explained.replace('-- ', '').replace('Defined-by', 'Defined-By')
        )
        self.assertIn(f'Run {run["id"]} of task', explained)

    def start_slow(self, name, level=9):
        """A run that takes some seconds, or minutes with a level of 19; its number once it runs, and its job, which
        stands still until let_go()."""
        guest.shell(
            'mkdir -p /srv/slow; [ -e /srv/slow/big ] || head -c 300M /dev/urandom >/srv/slow/big'
        )
        target = guest.make_target(name)
        task = guest.make_task(
            name, ['/srv/slow'], [target], compression={'algorithm': 'zstd', 'level': level}
        )
        # A run has ended a moment before its job has.
        guest.wait(lambda: not self.job_units(), what='the end of earlier jobs')
        run = guest.start_run(task)
        jobs = guest.wait(self.job_units, what='a running job')
        self.assertEqual(len(jobs), 1)
        guest.wait(lambda: self.has_orders(jobs[0]), what='a job that has its orders')
        guest.run('systemctl', 'kill', '--signal=STOP', *jobs)
        self.addCleanup(self.let_go)
        guest.wait_run(run, ('running',) + FINAL_STATES)
        self.assertEqual(
            guest.get(f'runs/{run}')['state'], 'running', 'the run was too fast for this test'
        )
        return run, jobs

    def has_orders(self, unit):
        """Whether the job in this unit has taken its lock; locks of others may lie there still."""
        pid = guest.run('systemctl', 'show', '--property=MainPID', '--value', unit).stdout.strip()
        locks = guest.run('sh', '-c', 'cat /var/lib/backupx-agent/results/*.lock', check=False).stdout
        return pid != '0' and pid in locks.split()

    def let_go(self):
        """Lets the jobs that stand still go on."""
        guest.run('systemctl', 'kill', '--signal=CONT', 'backupx-backup@*', check=False)

    def job_units(self):
        """The instances of backup jobs that run."""
        text = guest.run('systemctl', 'list-units', '--no-legend', '--plain', 'backupx-backup@*').stdout
        return [line.split()[0] for line in text.splitlines() if ' running' in line]

    def test_10_agent_restarted(self):
        """Restarting the agent keeps the job and its run."""
        run, jobs = self.start_slow('agent-restart')
        guest.run('systemctl', 'restart', 'backupx-agent.service')
        self.assertEqual(self.job_units(), jobs)
        self.let_go()
        ended = guest.wait_run(run)
        self.assert_state(ended, 'succeeded')
        self.assertEqual(ended['attempt'], 1)

    def test_11_agent_killed(self):
        """Killing the agent keeps the job and its run."""
        run, jobs = self.start_slow('agent-kill')
        guest.run('kill', '-KILL', guest.main_pid('backupx-agent.service'))
        guest.wait(lambda: guest.show('backupx-agent.service', 'SubState') == 'running')
        self.assertEqual(self.job_units(), jobs)
        self.let_go()
        ended = guest.wait_run(run)
        self.assert_state(ended, 'succeeded')
        self.assertEqual(ended['attempt'], 1)

    def test_12_master_restarted(self):
        """Restarting each daemon of the master during a run loses nothing."""
        for daemon in ('api', 'scheduler', 'dispatcher'):
            run, _ = self.start_slow(f'restart-{daemon}')
            guest.run('systemctl', 'restart', f'backupx-{daemon}.service')
            self.let_go()
            ended = guest.wait_run(run)
            self.assert_state(ended, 'succeeded')
            self.assertEqual(ended['attempt'], 1)

    def test_13_cancelled(self):
        """Cancelling ends the job's unit and leaves nothing under a final name."""
        run, _ = self.start_slow('cancel', 19)
        self.let_go()
        guest.post(f'runs/{run}/cancel')
        self.assert_state(guest.wait_run(run), 'cancelled')
        guest.wait(lambda: not self.job_units(), what='the end of the job')
        self.assertEqual(
            guest.run('find', '/var/lib/backupx-agent/storage/cancel', '-type', 'f').stdout, ''
        )

    def make_hooked(self, name, last=''):
        """A task with hooks, and what they do."""
        guest.run('bash', '-euc', HOOKS, 'hooks', last)
        hooks = {'pre': ['freeze'], 'post': ['thaw']}
        return guest.make_task(name, ['/srv/snapshot'], [guest.make_target(name)], hooks=hooks)

    def trace(self):
        """What hooks did."""
        return guest.shell('cat /srv/trace 2>/dev/null || :').splitlines()

    def assert_thawed(self, *trace):
        """The post hook ran, once; nothing of the hooks is left."""
        guest.wait(lambda: len(self.trace()) >= len(trace), what='the post hook')
        units = ('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'backupx-hook@*')
        guest.wait(lambda: not guest.run(*units).stdout, what='the end of the keeper')
        self.assertEqual(self.trace(), list(trace))
        self.assertEqual(guest.show('app.service', 'ActiveState'), 'active')
        self.assertEqual(guest.shell('ls /srv/snapshot /var/lib/backupx-hook').split(),
                         ['/srv/snapshot:', '/var/lib/backupx-hook:'])  # fmt: skip

    def stopped_between(self, name):
        """A run whose job was stopped by the pre hook: (run, PID of the job)."""
        run = guest.start_run(self.make_hooked(name, 'kill -STOP $(cat /var/lib/backupx-agent/results/*.lock)'))
        guest.wait(lambda: 'freeze of task' in guest.journal('-u', 'backupx-hook@*', f'BACKUPX_RUN={run}'),
                   what='the end of the pre hook')  # fmt: skip
        return run, guest.shell('cat /var/lib/backupx-agent/results/*.lock').strip()

    def test_13b_hooks(self):
        """Off until root of the node says otherwise; then with all rights, around the backup, whatever is killed."""
        guest.shell('printf "[Service]\nExecStart=/bin/sleep infinity\n" >/run/systemd/system/app.service; '
                    'systemctl daemon-reload; systemctl start app')  # fmt: skip
        self.addCleanup(guest.run, 'systemctl', 'stop', 'app', 'backupx-hook.socket', check=False)
        task = self.make_hooked('hooks')
        run = guest.wait_run(guest.start_run(task))
        self.assert_state(run, 'failed')
        self.assertEqual(run['error']['code'], 'HOOKS_OFF')
        self.assertIn('systemctl enable --now backupx-hook.socket', run['error']['message'])
        guest.run('systemctl', 'enable', '--now', 'backupx-hook.socket')
        run = guest.wait_run(guest.start_run(task))
        self.assert_state(run, 'succeeded')
        self.assert_thawed('pre 0', 'post succeeded inactive')
        self.assert_state(guest.restore(run['id'], '/srv/thawed'), 'succeeded')
        self.assertEqual(guest.shell('cat /srv/thawed/srv/snapshot/file').strip(), 'consistent')

    def test_13c_hooks_killed(self):
        """The keeper of hooks, or the job: the post hooks run all the same, and once."""
        guest.run('systemctl', 'enable', '--now', 'backupx-hook.socket')
        guest.run('systemctl', 'start', 'app')
        self.addCleanup(guest.run, 'systemctl', 'disable', '--now', 'app', 'backupx-hook.socket', check=False)
        run, job = self.stopped_between('hooks-keeper')
        guest.run('systemctl', 'kill', '--signal=KILL', '--kill-who=main', 'backupx-hook@*')
        self.assert_thawed('pre 0', 'post interrupted inactive')
        guest.run('kill', '-CONT', job)
        ended = guest.wait_run(run)
        self.assertEqual((ended['state'], ended['error']['code']), ('partial', 'HOOK_FAILED'), ended)
        self.assert_thawed('pre 0', 'post interrupted inactive')
        run, job = self.stopped_between('hooks-job')
        guest.run('kill', '-KILL', job)
        self.assertEqual(guest.wait_run(run)['error']['code'], 'JOB_KILLED')
        self.assert_thawed('pre 0', 'post interrupted inactive')

    def test_14_job_killed(self):
        """A job that is killed makes its run failed, and leaves nothing under a final name."""
        run, jobs = self.start_slow('job-kill', 19)
        guest.run('systemctl', 'kill', '--signal=KILL', *jobs)
        ended = guest.wait_run(run)
        self.assert_state(ended, 'failed')
        self.assertEqual(ended['error']['code'], 'JOB_KILLED')
        left = guest.run('find', '/var/lib/backupx-agent/storage/job-kill', '-name', 'manifest*').stdout
        self.assertEqual(left, '')

    def test_15_agent_stopped(self):
        """A job outlives a stop of its agent; its result is delivered when the agent is back."""
        run, jobs = self.start_slow('agent-stop')
        guest.run('systemctl', 'stop', 'backupx-agent.service')
        self.assertEqual(self.job_units(), jobs)
        self.let_go()
        guest.wait(lambda: not self.job_units(), 240, 'the end of the job')
        guest.run('systemctl', 'start', 'backupx-agent.service')
        self.assert_state(guest.wait_run(run), 'succeeded')

    def test_16_relay_allow(self):
        """A relay directory needs the administrator of the master, who has a command for it."""
        status, answer = guest.curl(
            '/api/v1/targets',
            'POST',
            {'name': 'far', 'type': 'relay', 'config': {'directory': '/srv/far'}},
        )
        if status == 201 or status == 200:
            run = backup('far', ['/etc/hostname'], [answer['data']['id']])
            self.assert_state(run, 'failed')
            answer = run
        self.assertIn('backupx relay allow', str(answer))
        guest.shell('mkdir /srv/far; backupx relay allow /srv/far')
        guest.wait(lambda: guest.curl('/health')[0] == 200, what='the API after its restart')
        target = guest.make_target('far-2', kind='relay', directory='/srv/far')
        run = backup('far-2', ['/etc/hostname'], [target])
        self.assert_state(run, 'succeeded')
        self.assertNotEqual(guest.run('find', '/srv/far', '-name', 'manifest*').stdout, '')

    def test_17_reset_password(self):
        """Root of the master sets a password without a login."""
        guest.run(
            'backupx', 'reset-password', 'admin', '--password-file', '-', stdin='another password\n'
        )
        for password, allowed in (('a password for tests', False), ('another password', True)):
            status, _ = guest.curl(
                '/api/v1/auth/login', 'POST', {'username': 'admin', 'password': password}
            )
            self.assertEqual(status == 200, allowed)
        guest.run('runuser', '-u', 'backupx-api', '--', 'test', '-w', '/var/lib/backupx/backupx.db')
        self.assertEqual(guest.curl('/health')[0], 200)

    def test_18_another_node(self):
        """A sealed backup of one node is restored on another one: a second agent, as the template makes it."""
        made = guest.post('nodes', {'name': 'second'})
        folder = '/etc/backupx-agent/second'
        guest.run(
            'bash',
            '-euc',
            f'mkdir -p {folder}; install -m 0600 /dev/stdin {folder}/token; '
            f'echo "master: http://127.0.0.1:8340" >{folder}/config.yaml',
            stdin=made['token'] + '\n',
        )
        guest.run('systemctl', 'start', 'backupx-agent@second.service')
        path = f'nodes/{made["id"]}'
        guest.wait(lambda: guest.get(path)['status'] == 'online', what='the second agent being online')
        run = backup(
            'for-second',
            ['/srv/tree'],
            [guest.make_target('for-second', kind='relay')],
            encryption='sealed',
        )
        self.assert_state(run, 'succeeded')
        again = guest.restore(
            run['id'], '/srv/on-second', destination={'node_id': made['id'], 'path': '/srv/on-second'}
        )
        self.assert_state(again, 'succeeded')
        self.assertEqual(again['node_name'], 'second')
        self.assertEqual(listing('/srv/tree'), listing('/srv/on-second/srv/tree'))
        # The other way round a node's sealed backup stays closed without the master: no identity is on disk.
        found = guest.run(
            'grep', '-rlE', 'AGE-SECRET-KEY-1', '/srv/on-second', '/var/lib/backupx/relay', check=False
        )
        self.assertEqual(found.stdout, '')

    def test_19_agent_program(self):
        """backupx agent starts the agent's program."""
        text = guest.run('backupx', 'agent', '--help').stdout
        for flag in (
            '--master',
            '--token',
            '--config',
            '--temp-dir',
            '--proxy-url',
            '--ca-cert',
            '--insecure-tls',
        ):
            self.assertIn(flag, text)

    def test_20_reboot_of_nothing(self):
        """After all of that no unit is failed and no job is left."""
        failed = guest.run('systemctl', 'list-units', '--failed', '--no-legend', 'backupx*').stdout
        self.assertEqual([line for line in failed.splitlines() if '@' not in line], [])
        guest.wait(lambda: not self.job_units(), what='the end of all jobs')


if __name__ == '__main__':
    unittest.main(verbosity=2)
