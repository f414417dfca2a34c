"""A synthetic exporter of many services, for a real Prometheus: `python -m … PORT SERVICES`.

Each service has what an OpenTelemetry library tells of requests served and of calls to the next
service, and what a client library tells of its process.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

BOUNDS = ("0.1", "1", "+Inf")
WITHIN = (0.6, 0.99, 1.0)
"""Share of the calls that take no longer than each bound."""

RATE, FAILING, MEAN_S = 50.0, 0.002, 0.08

_KINDS = (
    *("http_server_request_duration_seconds", "http_client_request_duration_seconds"),
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("process_open_fds", "process_max_fds"),
)


class SyntheticShop:
    """Counters of `services` services that grow with the time, each at a pace of its own."""

    def __init__(self, services: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._names = [f"service-{number}" for number in range(services)]
        self._pace = RATE * self._rng.uniform(0.5, 2.0, services)
        self._calls = np.zeros((2, services))
        self._cpu = np.zeros(services)
        self._at = time.monotonic()

    def text(self) -> str:
        """What is exposed now, in the text format."""
        now = time.monotonic()
        took, self._at = now - self._at, now
        share = np.array([[1.0 - FAILING], [FAILING]])
        noise = self._rng.normal(1.0, 0.05, (2, len(self._names)))
        self._calls += took * share * self._pace * noise
        self._cpu += took * 0.2 * self._rng.normal(1.0, 0.05, len(self._names))
        return "".join(self._lines())

    def _lines(self) -> list[str]:
        memory = 2e8 * self._rng.normal(1.0, 0.02, len(self._names))
        files = self._rng.integers(90, 110, len(self._names))
        lines = []
        for number, name in enumerate(self._names):
            own, callee = f'service="{name}"', f"service-{number // 2}"
            for code, calls in zip(("200", "500"), self._calls[:, number].tolist(), strict=True):
                lines += _histogram(_KINDS[0], f'{own},code="{code}"', calls)
            called = f'{own},server_address="{callee}",code="200"'
            lines += _histogram(_KINDS[1], called, float(self._calls[0, number]))
            told = (self._cpu[number], memory[number], files[number], 1024)
            lines += [f"{k}{{{own}}} {v:.6g}\n" for k, v in zip(_KINDS[2:], told, strict=True)]
        return lines


def _histogram(name: str, labels: str, calls: float) -> list[str]:
    return [
        *(
            f'{name}_bucket{{{labels},le="{bound}"}} {calls * share:.0f}\n'
            for bound, share in zip(BOUNDS, WITHIN, strict=True)
        ),
        f"{name}_sum{{{labels}}} {calls * MEAN_S:.3f}\n",
        f"{name}_count{{{labels}}} {calls:.0f}\n",
    ]


def serve(port: int, services: int) -> None:
    """Answer scrapes until killed."""
    shop = SyntheticShop(services)

    class Handler(BaseHTTPRequestHandler):
        """Any path is the metrics."""

        def do_GET(self) -> None:
            body = shop.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
