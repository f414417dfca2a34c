"""An exporter of native histograms: a scrape in protobuf, which the Python client cannot write.

Source: prometheus/client_model `io/prometheus/client/metrics.proto`; each family is preceded by its
length. `prometheus --enable-feature=native-histograms` asks for it.
"""

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MEDIA = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
_HISTOGRAM = 4


@dataclass
class NativeHistogram:
    """Counts of observations by bucket: with schema 0, number 3 is (4, 8] in the metric's unit."""

    name: str
    labels: Mapping[str, str]
    counts: dict[int, int]
    total: float = 0.0
    schema: int = 0

    def encoded(self) -> bytes:
        """The family, with its length before it."""
        held = [self.counts[number] for number in sorted(self.counts)]
        deltas = [new - old for old, new in zip([0, *held], held, strict=False)]
        numbers = sorted(self.counts)
        gaps = [new - old - 1 for old, new in zip([-1, *numbers], numbers, strict=False)]
        spans = b"".join(_part(12, _int(1, _zigzag(gap)) + _int(2, 1)) for gap in gaps)
        histogram = (
            _int(1, sum(held))
            + _double(2, self.total)
            + _int(5, _zigzag(self.schema))
            + _double(6, 1e-9)
            + spans
            + _part(13, b"".join(_varint(_zigzag(delta)) for delta in deltas))
        )
        labels = b"".join(_part(1, _text(1, k) + _text(2, v)) for k, v in self.labels.items())
        family = _text(1, self.name) + _int(3, _HISTOGRAM) + _part(4, labels + _part(7, histogram))
        return _varint(len(family)) + family


@contextmanager
def exporter(histograms: Sequence[NativeHistogram]) -> Iterator[str]:
    """Serves the histograms as they are at each scrape; yields `host:port`."""

    class Scrape(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"".join(one.encoded() for one in histograms)
            self.send_response(200)
            self.send_header("Content-Type", MEDIA)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scrape)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _int(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, content: str) -> bytes:
    return _part(field, content.encode())
