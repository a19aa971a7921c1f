# SPDX-License-Identifier: Apache-2.0
"""A Ceph cluster of one monitor, one disk (a sparse file) and one gateway that speaks S3, on loopback. It checks
signatures, knows multipart uploads, object lock and conditional writes. Up in about 15 seconds."""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid

from processes import die_with_parent
from suite import free_port

PROGRAMS = ('ceph-mon', 'ceph-osd', 'radosgw', 'ceph', 'monmaptool', 'radosgw-admin')
ACCESS_KEY = 'AKTEST'
SECRET_KEY = 'SKTESTSECRET'

# ms_mon_client_mode: with anything else and no authentication the gateway does not get past the monitor.
CONFIG = """
[global]
fsid={fsid}
mon_host=[v2:127.0.0.1:{port2},v1:127.0.0.1:{port1}]
public_addr=127.0.0.1
cluster_addr=127.0.0.1
auth_cluster_required=none
auth_service_required=none
auth_client_required=none
auth_allow_insecure_global_id_reclaim=false
osd_pool_default_size=1
osd_pool_default_min_size=1
osd_pool_default_pg_num=1
osd_pool_default_pgp_num=1
osd_pool_default_pg_autoscale_mode=off
osd_crush_chooseleaf_type=0
mon_allow_pool_size_one=true
mon_max_pg_per_osd=1000
mon_data_avail_warn=1
mon_data_avail_crit=1
run_dir={dir}/run
admin_socket={dir}/run/$name.asok
log_file={dir}/log/$name.log
mon_data={dir}/mon
osd_data={dir}/osd
osd_objectstore=bluestore
bluestore_block_size=21474836480
bluestore_block_create=true
bluestore_fsck_on_mount=false
osd_memory_target=939524096
osd_memory_cache_min=134217728
bdev_async_discard=false
ms_bind_ipv6=false
ms_mon_client_mode=crc

[client.rgw]
rgw_frontends=beast endpoint=127.0.0.1:{port}
rgw_dns_name=localhost
rgw_data={dir}/rgw
rgw_enable_usage_log=false
rgw_thread_pool_size=32
rgw_gc_obj_min_wait=0
rgw_gc_processor_period=30
rgw_gc_processor_max_time=30
"""


def missing():
    """Why it cannot be started here, or None."""
    absent = [p for p in PROGRAMS if not shutil.which(p)]
    if absent:
        return f'needs {", ".join(absent)} (radosgw ceph-mon ceph-osd ceph-common)'
    return None if os.geteuid() == 0 else 'needs root'


def free_ports(count):
    """Ports for this program alone."""
    return [free_port() for _ in range(count)]


class Ceph:
    """Started by the constructor; close() ends it."""

    def __init__(self, folder):
        self.dir = folder
        port1, port2, self.port = free_ports(3)
        self.fsid = str(uuid.uuid4())
        self.processes = []
        self.url = f'http://127.0.0.1:{self.port}'
        for name in ('mon', 'osd', 'rgw', 'run', 'log'):
            os.mkdir(f'{folder}/{name}')
        self.config = f'{folder}/ceph.conf'
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(fsid=self.fsid, dir=folder, port=self.port, port1=port1, port2=port2))
        try:
            self.make(port1, port2)
        except BaseException:
            self.close()
            raise

    def run(self, program, *words):
        done = subprocess.run([program, '-c', self.config, *words], capture_output=True, text=True, check=False,
                              timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f'{program} {" ".join(words)}: {done.stderr}')
        return done.stdout

    def start(self, program, *words):
        with open(f'{self.dir}/log/{program}.out', 'ab') as out:
            # -f: in the foreground, so that it is ours to end.
            self.processes.append(subprocess.Popen([program, '-c', self.config, '-f', *words], stdout=out,
                                                   stderr=out, stdin=subprocess.DEVNULL,
                                                   preexec_fn=die_with_parent))

    def make(self, port1, port2):
        monmap = f'{self.dir}/monmap'
        self.run('monmaptool', '--create', '--fsid', self.fsid, '--addv', 'a',
                 f'[v2:127.0.0.1:{port2},v1:127.0.0.1:{port1}]', monmap)
        self.run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', monmap)
        self.start('ceph-mon', '-i', 'a')
        osd = str(uuid.uuid4())
        self.run('ceph', 'osd', 'new', osd)
        self.run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
        self.start('ceph-osd', '-i', '0')
        self.run('ceph', 'osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=vm')
        self.start('radosgw', '-n', 'client.rgw')
        self.wait()
        self.admin('user', 'create', '--uid=t', '--display-name=t', f'--access-key={ACCESS_KEY}',
                   f'--secret={SECRET_KEY}')

    def wait(self):
        end = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=10):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                if time.monotonic() > end or any(p.poll() is not None for p in self.processes):
                    raise
                time.sleep(0.05)

    def admin(self, *words):
        """radosgw-admin: users and their quotas."""
        return self.run('radosgw-admin', '-n', 'client.rgw', *words)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.processes = []
