"""Crowds of callers at their full size, against the program as it is shipped."""

import asyncio
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SLOWHTTPTEST = os.environ["SLOWHTTPTEST"]

# Seconds. A crowd is gone when its clock has rung, and a little later. slowhttptest counts every five.
HEADER, BODY, WRITE, LATER = 6, 3, 5, 20

CONFIGURATION = {
    "server": {
        "port": 0, "header-timeout": f"{HEADER}s", "body-timeout": f"{BODY}s",
        "write-timeout": f"{WRITE}s", "log": {"level": "warn"}},
    "model": {"services": {"chat": {"instances": [
        {"name": "short", "adapter": "simulated",
         "base-url": "simulated://short?first-token=0ms&length=1&rate=none"},
        {"name": "long", "adapter": "simulated",
         "base-url": "simulated://long?first-token=0ms&length=10000&rate=300"}]}}},
}

PATH = "/v1/chat/completions"


def request(model, stream=False):
    body = json.dumps({
        "model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
    return (f"POST {PATH} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}").encode()


def say(text):
    sys.stderr.write(f"\n    {text} ... ")


class Gateway:
    """The running program."""

    def __enter__(self):
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        json.dump(CONFIGURATION, self.config)
        self.config.flush()
        self.process = subprocess.Popen(
            [os.environ["JAIROUTER"], self.config.name], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if "listening on http://" in line:
                host, port = line.split("http://")[1].strip().split(":")
                self.address = host, int(port)
                return self
        raise RuntimeError("the program does not listen")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.config.close()

    def memory(self):
        """In MiB, as it is now."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


async def answer(reader):
    """The status of an answer of a known length, which is read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
    return int(head.split()[1])


class Other:
    """Somebody who asks all the while, each time on a new connection, and is served."""

    def __init__(self, gateway):
        self.gateway = gateway

    async def __aenter__(self):
        self.took = []
        self.asking = asyncio.create_task(self.ask())
        return self

    async def ask(self):
        while True:
            begun = time.monotonic()
            reader, writer = await asyncio.open_connection(*self.gateway.address)
            writer.write(request("short"))
            status = await asyncio.wait_for(answer(reader), 10)
            if status != 200:
                raise AssertionError(f"another caller got {status}")
            self.took.append(time.monotonic() - begun)
            writer.close()
            await asyncio.sleep(0.02)

    async def __aexit__(self, *_):
        # What it met raises here.
        if self.asking.done():
            self.asking.result()
        self.asking.cancel()
        if len(self.took) < 20:
            raise AssertionError(f"another caller was served {len(self.took)} times only")
        took = sorted(self.took)
        say(f"{len(took)} other requests, half in {took[len(took) // 2] * 1000:.0f} ms, "
            f"the slowest in {took[-1] * 1000:.0f} ms")


async def crowd(count, one):
    """What these come to, a hundred at a time."""
    made = []
    for begin in range(0, count, 100):
        made += await asyncio.gather(*(one(number) for number in range(begin, min(begin + 100, count))))
    return made


async def until(holds, seconds):
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


def connection(gateway, receive=None):
    connection = socket.socket()
    if receive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        # As on a network: with the segments of loopback a kernel holds megabytes for each.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    connection.setblocking(False)
    return asyncio.get_running_loop().sock_connect(connection, gateway.address), connection


class Crowds(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if most < 10_500:
            raise RuntimeError(f"this needs 10500 open files, and may have {most}")

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)

    # fault: S11
    async def test_ten_thousand_idle_connections_take_200_mib_at_most(self):
        with Gateway() as gateway:
            async def idle(_):
                reader, writer = await asyncio.open_connection(*gateway.address)
                writer.write(request("short"))
                self.assertEqual(await answer(reader), 200)
                return reader, writer

            before = gateway.memory()
            connections = await crowd(10_000, idle)
            self.assertGreater(gateway.files(), 10_000)
            async with Other(gateway):
                await asyncio.sleep(3)
            after = gateway.memory()
            say(f"{before:.0f} MiB before, {after:.0f} MiB with them")
            self.assertLessEqual(after, 200)
            for reader, writer in connections[::100]:
                writer.write(request("short"))
                self.assertEqual(await answer(reader), 200)
            for _, writer in connections:
                writer.close()

    # fault: S4
    async def test_two_thousand_callers_that_do_not_read_are_let_go(self):
        with Gateway() as gateway:
            async def slow(_):
                connected, caller = connection(gateway, receive=1)
                await connected
                await asyncio.get_running_loop().sock_sendall(caller, request("long", stream=True))
                return caller

            callers = await crowd(2000, slow)
            async with Other(gateway):
                await until(lambda: gateway.files() > 1500, LATER)
                say(f"{gateway.memory():.0f} MiB with them")
                took = await until(lambda: gateway.files() < 100, WRITE + LATER)
            say(f"the last of {len(callers)} is let go after {took:.0f} s")
            for caller in callers:
                caller.close()

    # fault: S3
    async def test_two_thousand_callers_that_write_slowly_are_let_go(self):
        with Gateway() as gateway:
            begun = time.monotonic()

            async def slow(_):
                reader, writer = await asyncio.open_connection(*gateway.address)
                writer.write(request("short").replace(b"content-length: ", b"content-length: 9"))
                return asyncio.create_task(dribble(reader, writer))

            async def dribble(reader, writer):
                while not reader.at_eof():
                    try:
                        writer.write(b" ")
                        await writer.drain()
                        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
                        writer.close()
                        return int(head.split()[1])
                    except TimeoutError:
                        continue
                    except (ConnectionError, asyncio.IncompleteReadError):
                        return None
                return None

            async with Other(gateway):
                writers = await crowd(2000, slow)
                await until(lambda: gateway.files() < 100, 3 * BODY + LATER)
                took = time.monotonic() - begun
            seen = [await writer for writer in writers]
            say(f"the last of {len(seen)} is let go after {took:.0f} s, {seen.count(408)} with 408")
            self.assertLessEqual(set(seen), {408, None})

    # fault: S1
    async def test_a_thousand_callers_that_say_nothing_are_let_go(self):
        with Gateway() as gateway:
            async def silent(_):
                return await asyncio.open_connection(*gateway.address)

            callers = await crowd(1000, silent)
            begun = time.monotonic()
            async with Other(gateway):
                for reader, writer in callers:
                    self.assertEqual(await asyncio.wait_for(reader.read(), HEADER + LATER), b"")
                    writer.close()
            say(f"the last of {len(callers)} is let go after {time.monotonic() - begun:.0f} s")

    async def slowhttptest(self, kind, *arguments):
        """Has it come, and leave once nothing of it is connected, while another caller is served."""
        with Gateway() as gateway:
            begun = time.monotonic()
            async with Other(gateway):
                process = await asyncio.create_subprocess_exec(
                    SLOWHTTPTEST, kind, "-r", "1000", "-p", "5", *arguments,
                    "-u", "http://{}:{}{}".format(*gateway.address, PATH),
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
                text, _ = await asyncio.wait_for(process.communicate(), 60)
            text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text.decode(errors="replace"))
            most = max(map(int, re.findall(r"connected:\s+(\d+)", text)))
            say(f"{most} connected, and after {time.monotonic() - begun:.0f} s none")
            self.assertGreater(most, 900, text)
            self.assertRegex(text, r"Exit status:\s+No open connections left")
            self.assertNotRegex(text, r"service available:\s+NO")

    # fault: S2
    async def test_slowhttptest_s_slow_heads(self):
        await self.slowhttptest("-H", "-c", "1000", "-i", "1", "-l", str(HEADER + LATER), "-t", "POST")

    # fault: S3
    async def test_slowhttptest_s_slow_bodies(self):
        await self.slowhttptest(
            "-B", "-c", "2000", "-i", "1", "-x", "2", "-l", str(3 * BODY + LATER), "-s", "8192",
            "-f", "application/json")
