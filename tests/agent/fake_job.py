#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A job that does what the name of its task says, over the line on descriptor 3. Stands in for backupx-job
where a test needs one that hangs, dies, or talks nonsense."""

import json
import os
import signal
import socket
import struct
import sys
import time

LINE = socket.socket(fileno=3)
BUFFER = bytearray()
LOCKS = []  # what came with the orders: held until the end


def send(**message):
    """One frame, as compact as the agent's: a mark comes back byte for byte."""
    text = json.dumps(message, separators=(',', ':')).encode()
    try:
        LINE.sendall(struct.pack('>I', len(text)) + text)
    except OSError:
        pass  # the agent is gone: the end of the line tells the same


def receive(timeout=None):
    """The next message; None at the end of the line; 'timeout'."""
    LINE.settimeout(timeout)
    try:
        while len(BUFFER) < 4 or len(BUFFER) < 4 + struct.unpack('>I', BUFFER[:4])[0]:
            data, fds, _, _ = socket.recv_fds(LINE, 65536, 1)
            LOCKS.extend(fds)
            if not data:
                return None
            BUFFER.extend(data)
    except TimeoutError:
        return 'timeout'
    except ConnectionResetError:
        return None
    finally:
        LINE.settimeout(None)
    length = struct.unpack('>I', BUFFER[:4])[0]
    message = json.loads(bytes(BUFFER[4 : 4 + length]))
    del BUFFER[: 4 + length]
    return message


def log(first, *texts):
    """A batch of numbered lines."""
    send(
        type='log',
        lines=[
            {'seq': first + i, 't': '2026-11-22T22:15:01Z', 'level': 'info', 'text': text}
            for i, text in enumerate(texts)
        ],
    )


def finish(status='succeeded', code=None, start=None, **result):
    """The result, and the wait for its ack. With start it is left in a file where nobody takes it, as the real
    job does."""
    error = {'code': code, 'message': code} if code else None
    send(type='result', status=status, error=error, result=result)
    while True:
        message = receive(20)
        if message is None or message == 'timeout':
            if start:
                leave(start, status, **result)
            return
        if message['type'] == 'ack':
            return
        if message['type'] == 'sync':
            send(**message)
            send(type='result', status=status, error=error, result=result)


def leave(start, status, **result):
    """A result for an agent that is not there."""
    folder = start['context']['results_dir']
    name = f'{folder}/command-{start["command"]}-{start["attempt"]}.json'
    with open(name + '.new', 'w', encoding='utf-8') as file:
        json.dump(
            {
                'status': status,
                'error': None,
                'result': result,
                'log': [{'seq': 9, 't': '2026-11-22T22:15:01Z', 'level': 'info', 'text': 'left'}],
            },
            file,
        )
    os.rename(name + '.new', name)


def tell_progress():
    """Something new each time."""
    send(
        type='progress',
        phase='reading',
        bytes_read=int(1000 * time.monotonic()),
        bytes_written=0,
        bytes_total=0,
        files_done=0,
        files_total=0,
        current='/a',
    )


def hang(start):
    """Runs until it is cancelled, its time is over, or the test releases it; 'tick' tells progress, too."""
    release = os.path.join(start['context']['results_dir'], '..', 'release')
    end = time.monotonic() + float(start['spec']['source']['excludes'][0])
    alone = False
    told = 0.0
    tell_progress()
    while time.monotonic() < end and not os.path.exists(release):
        if alone:
            time.sleep(0.05)
            continue
        message = receive(0.05)
        if message is None:
            alone = True
        elif message == 'timeout':
            if start['spec']['task']['name'] == 'tick' and time.monotonic() > told + 0.6:
                told = time.monotonic()
                tell_progress()
        elif message['type'] == 'cancel':
            finish('cancelled', 'CANCELLED')
            return
        elif message['type'] == 'sync':
            send(**message)
    if alone:
        leave(start, 'succeeded', files=1)
    else:
        finish(files=1, start=start)


def talk(_):
    """Many lines, some of them twice, and progress faster than anybody wants it."""
    for i in range(0, 1500, 10):
        log(i + 1, *[f'line {i + k + 1}' for k in range(10)])
        log(i + 1, *[f'again {i + k + 1}' for k in range(10)])
        send(
            type='progress',
            phase='reading',
            bytes_read=i,
            bytes_written=0,
            bytes_total=0,
            files_done=i,
            files_total=0,
            current='/a',
        )
    finish(files=2)


def wordy(_):
    """More bytes of log than go into one batch, and the result right behind them."""
    for i in range(0, 200, 50):
        log(i + 1, *[f'line {i + k + 1} '.ljust(2000, 'x') for k in range(50)])
    finish(files=1)


def wait_for_gate(path):
    """The orders are not read before this file is there."""
    end = time.monotonic() + 120
    while path and not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)


def main():
    """Hello, start, and the script."""
    send(type='hello', protocol=1, version='test', pid=os.getpid())
    wait_for_gate(os.environ.get('BACKUPX_FAKE_GATE'))
    start = receive(20)
    if not isinstance(start, dict) or start['type'] != 'start':
        return
    with open(
        os.path.join(start['context']['results_dir'], '..', 'jobs.txt'), 'a', encoding='utf-8'
    ) as file:
        file.write(f'{start["command"]}-{start["attempt"]} {os.getpid()}\n')
    script = start['spec']['task']['name']
    if script == 'quick':
        finish(files=1)
    elif script == 'die':
        os.kill(os.getpid(), signal.SIGKILL)
    elif script == 'nonsense':
        LINE.sendall(b'\xff\xff\xff\xffnonsense')
        time.sleep(0.2)
    elif script == 'vanish':
        LINE.close()
    elif script == 'large':
        finish(entries=['x' * 1000] * 1000)
    elif script == 'bad-status':
        send(type='result', status='splendid', result={})
    elif script == 'deaf':
        time.sleep(60)
    else:
        {'hang': hang, 'tick': hang, 'talk': talk, 'wordy': wordy}[script](start)


sys.exit(main())
