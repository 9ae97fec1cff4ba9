#!/usr/bin/python3
"""A TCP relay on loopback that lets so many bytes a second through from the server to its clients, all connections together: a store
that is far away. Every half second it adds a line to LOG: the time (Unix seconds) and the bytes that have come through so far.

usage: throttle.py PORT_FILE TARGET_HOST:PORT BYTES_PER_SECOND LOG
"""
import asyncio
import os
import sys
import time

PIECE = 64 << 10
BURST_S = 0.1  # what may be caught up after a pause


class Relay:
    def __init__(self, target, rate):
        self.host, _, self.port = target.rpartition(":")
        self.rate, self.passed = rate, 0
        self.free_at = time.monotonic()  # when what was let through has been paid for

    async def let_through(self, size):
        self.free_at = max(self.free_at, time.monotonic() - BURST_S) + size / self.rate
        self.passed += size
        await asyncio.sleep(max(0, self.free_at - time.monotonic()))

    async def pump(self, reader, writer, is_answer):
        try:
            while piece := await reader.read(PIECE):
                if is_answer:
                    await self.let_through(len(piece))
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()  # of both directions: what is cut on one side is cut on the other

    async def serve(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection(self.host, int(self.port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, up_writer, False), self.pump(up_reader, writer, True))

    async def note(self, path):
        with open(path, "a", encoding="ascii") as log:
            while True:
                print(f"{time.time():.1f} {self.passed}", file=log, flush=True)
                await asyncio.sleep(0.5)


async def main():
    port_file, target, rate, log = sys.argv[1:]
    relay = Relay(target, float(rate))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, limit=PIECE)
    with open(port_file + ".new", "w", encoding="ascii") as file:
        print(server.sockets[0].getsockname()[1], file=file)
    os.rename(port_file + ".new", port_file)
    await asyncio.gather(server.serve_forever(), relay.note(log))


asyncio.run(main())
