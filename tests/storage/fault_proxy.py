# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback that does what lines and servers do at their worst."""

import select
import socket
import struct
import threading


class Proxy:
    """fault(number of the connection, from 0) gives what happens to it: None (all goes through) or

    ('status', 503, [('Retry-After', '1')])   an HTTP answer to the first request, then the end
    ('cut up', n), ('cut down', n)            a reset once n bytes went to the server, or came from it
    ('stall up', n), ('stall down', n)        nothing moves any longer from there on
    ('flip up', n), ('flip down', n)          the byte there is another one
    ('lose up', n)                            what the client sends from there on never arrives; its end does
    """

    def __init__(self, host, port, fault=None):
        self.to = (host, port)
        self.fault = fault or (lambda number: None)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.count = 0
        self.ending, self.end = socket.socketpair()
        self.threads = []

    def __enter__(self):
        self.start(self.accept)
        return self

    def __exit__(self, *_):
        self.end.close()
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.ending.close()

    def start(self, work, *args):
        thread = threading.Thread(target=work, args=args)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while self.listener in select.select([self.listener, self.ending], [], [])[0]:
            client, _ = self.listener.accept()
            number, self.count = self.count, self.count + 1
            self.start(self.serve, client, self.fault(number))

    @staticmethod
    def reset(sock):
        """Closes without the politeness of TCP."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.close()

    def serve(self, client, fault):
        try:
            if fault and fault[0] == 'status':
                self.answer(client, *fault[1:])
            else:
                self.forward(client, fault)
        except OSError:
            pass
        finally:
            client.close()

    def answer(self, client, status, headers):
        head = b''
        while b'\r\n\r\n' not in head:
            more = client.recv(65536)
            if not more:
                return
            head += more
        lines = [f'HTTP/1.1 {status} Fault', 'Content-Length: 0', 'Connection: close']
        lines += [f'{name}: {value}' for name, value in headers]
        client.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
        client.shutdown(socket.SHUT_WR)
        # The body that the client still sends must not become a reset before it reads the answer.
        while self.ending not in (ready := select.select([client, self.ending], [], [])[0]):
            if ready and not client.recv(65536):
                break

    def pass_on(self, data):
        """What came from the server, as it goes on."""
        return data

    def forward(self, client, fault):
        with socket.create_connection(self.to) as server:
            moved = {client: 0, server: 0}
            kind, limit = fault or ('', 0)
            watched = client if kind.endswith('up') else server
            while True:
                ready = select.select([client, server, self.ending], [], [])[0]
                if self.ending in ready:
                    return
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    if kind and source is watched and moved[source] <= limit < moved[source] + len(data):
                        if kind.startswith('flip'):
                            data = bytearray(data)
                            data[limit - moved[source]] ^= 1
                        elif kind.startswith('cut'):
                            self.reset(server)
                            self.reset(client)
                            return
                        elif kind.startswith('lose'):
                            server.sendall(data[:limit - moved[source]])
                            while client.recv(65536):
                                pass
                            return
                        else:
                            select.select([self.ending], [], [])
                            return
                    moved[source] += len(data)
                    if source is client:
                        server.sendall(data)
                    else:
                        client.sendall(self.pass_on(data))
