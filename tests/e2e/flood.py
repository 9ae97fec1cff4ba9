#!/usr/bin/python3
"""A neighbour that means harm: holds as many connections to a listener as it can, each fed a byte now and then, and opens another for
each that is closed. Prints a line of JSON at its end: how often it connected, was closed, and how many it held at most.

usage: flood.py PORT KIND CONNECTIONS ADDRESSES SECONDS
KIND: silent (nothing is sent), hello (TLS whose handshake never ends), headers (plain HTTP, byte by byte), garbage (bytes that are no TLS)
ADDRESSES: from so many addresses of 127.1.0.0/16
"""
import errno
import json
import select
import socket
import sys
import time

FIRST = {"silent": b"", "hello": bytes.fromhex("160301020001") + b"\0\1\xfc\3\3", "headers": b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
         "garbage": b"\xff\xfe\xfd GARBAGE\r\n\r\n" * 20}
MORE = {"silent": b"", "hello": b"\1", "headers": b"a", "garbage": b"\0"}
FEED_EVERY_S, OPEN_AT_ONCE = 1.0, 500


class Flood:
    def __init__(self, port, kind, wanted, addresses):
        self.port, self.kind, self.wanted = port, kind, wanted
        self.sources = [f"127.1.{i // 250}.{1 + i % 250}" for i in range(addresses)]
        self.poll, self.open, self.fed_at = select.epoll(), {}, 0.0
        self.made = self.connected = self.closed = self.most = 0

    def connect(self):
        one = socket.socket()
        one.setblocking(False)
        one.bind((self.sources[self.made % len(self.sources)], 0))
        self.made += 1
        if one.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            one.close()
            return
        self.open[one.fileno()] = [one, False]
        self.poll.register(one, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def drop(self, fd):
        self.open.pop(fd)[0].close()
        self.closed += 1

    def on_event(self, fd, events):
        one, is_connected = self.open[fd]
        try:
            if not is_connected and events & select.EPOLLOUT:
                self.open[fd][1] = True
                self.connected += 1
                one.send(FIRST[self.kind])
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not one.recv(4096):
                self.drop(fd)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(fd)

    def feed(self):
        self.fed_at = time.monotonic()
        for fd, (one, is_connected) in list(self.open.items()):
            try:
                if is_connected and MORE[self.kind]:
                    one.send(MORE[self.kind])
            except OSError:
                self.drop(fd)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(min(OPEN_AT_ONCE, self.wanted - len(self.open))):
                self.connect()
            self.most = max(self.most, sum(is_connected for _, is_connected in self.open.values()))
            for fd, events in self.poll.poll(0.05):
                if fd in self.open:
                    self.on_event(fd, events)
            if time.monotonic() - self.fed_at > FEED_EVERY_S:
                self.feed()


def main():
    port, kind, wanted, addresses, seconds = sys.argv[1:]
    flood = Flood(int(port), kind, int(wanted), int(addresses))
    flood.run(float(seconds))
    print(json.dumps({"kind": kind, "tried": flood.made, "connected": flood.connected, "closed": flood.closed, "most": flood.most}))


main()
