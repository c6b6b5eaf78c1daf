#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""An asyncio echo server and a client that checks every byte.

asyncio_echo.py server ADDRESS PORT
asyncio_echo.py client ADDRESS PORT CONNECTIONS MESSAGES
"""
import asyncio
import random
import sys


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


class DatagramClient(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, address):
        self.received.put_nowait(data)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def server(address, port):
    listening = await asyncio.start_server(echo, address, port, backlog=256)
    await asyncio.get_running_loop().create_datagram_endpoint(DatagramEcho, local_addr=(address, port))
    print("ready", flush=True)
    await listening.serve_forever()


async def stream_client(number, address, port, messages):
    chance = random.Random(number)
    reader, writer = await asyncio.open_connection(address, port)
    total = 0
    for _ in range(messages):
        message = chance.randbytes(chance.choice([1, 100, 1448, 5000, 100_000]))
        writer.write(message)
        answer = await asyncio.wait_for(reader.readexactly(len(message)), 20)
        assert answer == message, f"connection {number}: the echo differs"
        total += len(message)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 20) == b"", "bytes after the end"
    writer.close()
    await writer.wait_closed()
    return total


async def datagram_client(address, port, messages):
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        DatagramClient, remote_addr=(address, port))
    for number in range(messages):
        message = random.Random(number).randbytes(1 + number * 7 % 1400)
        transport.sendto(message)
        assert await asyncio.wait_for(protocol.received.get(), 10) == message, "the datagram's echo differs"
    transport.close()


async def client(address, port, connections, messages):
    totals = await asyncio.gather(*(stream_client(n, address, port, messages) for n in range(connections)))
    await datagram_client(address, port, messages)
    print("echoed", sum(totals))


def main():
    role, address, port = sys.argv[1:4]
    if role == "server":
        asyncio.run(server(address, int(port)))
    else:
        asyncio.run(client(address, int(port), int(sys.argv[4]), int(sys.argv[5])))


if __name__ == "__main__":
    main()
