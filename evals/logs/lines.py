"""Made-up log lines of several formats, for a benchmark that needs no recorded data."""

import random
from collections.abc import Iterator
from itertools import islice

_USERS = ("ann", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
_MESSAGES = (
    ("INFO", "Received block blk_{big} of size {big} from /{ip}:{port}"),
    ("INFO", "took {small} ms to answer GET /api/v1/orders/{uuid}/items with status {small}"),
    (
        "WARN",
        "slow query ({small}.{small} s) on shard-{small}: SELECT from orders where id = {big}",
    ),
    ("ERROR", "Failed password for invalid user {user} from {ip} port {port} ssh2"),
    ("INFO", "session opened for user {user} by (uid={small})"),
    ("DEBUG", "cache hit key=session:{hex} ttl={small}s size={small} KB"),
    ("INFO", "Accepted connection from {ip}:{port} to node-{small}.rack{small}.example.com:443"),
    ("ERROR", "Could not reserve item {uuid}: java.net.SocketTimeoutException: Read timed out"),
    ("INFO", "writing checkpoint to /var/lib/store/shard{small}/segment-{big}.log ({small} MB)"),
    ("INFO", "state=ready queue={small} workers={small} leader=true epoch={big}"),
    ("WARN", "retry {small} of 5 for task attempt_{big}_{small}_m_{small}: connection reset"),
    ("INFO", "memory pressure {small} % heap {small}.{small} GB used, gc pause {small} ms"),
)
_HEADERS = (
    "2024-05-01 10:{minute}:{second},{milli} {level} [worker-{small}] c.a.s.Service: ",
    "May  1 10:{minute}:{second} host-{small} service[{port}]: ",
    "2024-05-01T10:{minute}:{second}.{milli}Z {level} ",
    "[Wed May 01 10:{minute}:{second} 2024] [{level}] ",
)


def lines(count: int, seed: int, headers: bool) -> list[str]:
    """`count` lines, the same for the same seed."""
    return list(islice(_lines(random.Random(seed), headers), count))


def _lines(rng: random.Random, headers: bool) -> Iterator[str]:
    while True:
        level, message = rng.choice(_MESSAGES)
        header = rng.choice(_HEADERS) if headers else ""
        yield (header + message).format(
            level=level,
            big=rng.randrange(10**9, 10**10),
            small=rng.randrange(1, 200),
            port=rng.randrange(1024, 65536),
            ip=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
            uuid=f"{rng.getrandbits(32):08x}-5c1d-4b7e-9a53-{rng.getrandbits(48):012x}",
            hex=f"{rng.getrandbits(64):016x}",
            user=rng.choice(_USERS),
            minute=f"{rng.randrange(60):02d}",
            second=f"{rng.randrange(60):02d}",
            milli=f"{rng.randrange(1000):03d}",
        )
