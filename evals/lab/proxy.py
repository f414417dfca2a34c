"""Proxy: a stretch of network between two services that can be made slow and lossy.

`python -m evals.lab.proxy UPSTREAM_PORT DELAY_S LOSS` listens on a free port and prints it. Bytes
wait `DELAY_S` in each direction. A lost chunk comes after a retransmission timeout that doubles,
as TCP makes of lost packets: nothing is corrupted, it comes late or never.
"""

import asyncio
import random
import sys

_RETRANSMIT_S = 0.2
_MOST_LOSSES = 5


class Proxy:
    """Relays connections to one port of the loopback."""

    def __init__(self, upstream: int, delay_s: float, loss: float) -> None:
        self._upstream = upstream
        self._delay_s = delay_s
        self._loss = loss
        self._rng = random.Random(upstream)

    async def serve(self) -> None:
        """Listen, say where, relay for ever."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                await asyncio.sleep(self._late())
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass  # either end hung up; so does the other
        finally:
            writer.close()

    def _late(self) -> float:
        late, timeout = self._delay_s * self._rng.uniform(0.8, 1.2), _RETRANSMIT_S
        for _ in range(_MOST_LOSSES):
            if self._rng.random() >= self._loss:
                break
            late += timeout
            timeout *= 2
        return late


if __name__ == "__main__":
    asyncio.run(Proxy(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])).serve())
