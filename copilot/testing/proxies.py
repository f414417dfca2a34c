"""A real HAProxy or nginx on the loopback before real servers that can be made to fail."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from copilot.hands.proxies import NginxFiles
from copilot.hands.traffic import ProxyTarget
from copilot.testing.servers import ServerError, free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


class BackendServer:
    """A server that answers with its name, or with 500 while it is `broken`."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name, self.broken, self.answered = name, False, 0
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                backend.answered += 1
                said = backend.name.encode()
                self.send_response(500 if backend.broken else 200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *arguments: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the block runs."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()


@dataclass
class BalancedPool:
    """A pool `web`: its address, HAProxy's socket or nginx's files, and the servers behind it."""

    url: str
    proxy: ProxyTarget
    servers: dict[str, BackendServer] = field(default_factory=dict)

    def shares(self, calls: int = 60) -> dict[str, int]:
        """How many of so many calls each server answers."""
        before = {name: one.answered for name, one in self.servers.items()}
        with httpx.Client(trust_env=False) as client:
            for _ in range(calls):
                client.get(self.url, headers={"Connection": "close"})
        return {name: one.answered - before[name] for name, one in self.servers.items()}

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Calls that go on while the block runs."""
        stop = threading.Event()

        def visit() -> None:
            with httpx.Client(trust_env=False) as client:
                while not stop.is_set():
                    with suppress(httpx.HTTPError):
                        client.get(self.url, headers={"Connection": "close"})
                    stop.wait(0.01)

        visitor = threading.Thread(target=visit, daemon=True)
        visitor.start()
        try:
            yield
        finally:
            stop.set()
            visitor.join(5)


@contextmanager
def haproxy(
    folder: Path,
    names: Sequence[str] = ("a1", "b1"),
    *,
    weight: int = 100,
    level: str = "admin",
    check: str = "check inter 100",
) -> Iterator[BalancedPool]:
    """HAProxy before these servers, round robin, with its socket and its log in `folder`."""
    if HAPROXY is None:
        raise ServerError("haproxy is not installed")
    port, path = free_port(), folder / "admin.sock"
    pool = _pool(port, ProxyTarget(socket=path), names)
    lines = [
        f"global\n  stats socket {path} level {level}",
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s",
        f"listen web\n  bind 127.0.0.1:{port}\n  balance roundrobin",
    ]
    lines += [
        f"  server {name} 127.0.0.1:{one.port} weight {weight} {check}"
        for name, one in pool.servers.items()
    ]
    config = folder / "haproxy.cfg"
    config.write_text("\n".join([*lines, ""]))
    with _served(pool, [HAPROXY, "-db", "-f", str(config)]):
        yield pool


@contextmanager
def nginx(folder: Path, names: Sequence[str] = ("a1", "b1")) -> Iterator[BalancedPool]:
    """nginx before these servers, round robin, with its pool's file and its log in `folder`."""
    if NGINX is None:
        raise ServerError("nginx is not installed")
    port, config, log = free_port(), folder / "nginx.conf", folder / "pools.log"
    log.touch()
    files = NginxFiles(folder=folder, log=log, binary=Path(NGINX), config=config)
    pool = _pool(port, ProxyTarget(nginx=files), names)
    servers = (f"  server 127.0.0.1:{s.port} weight=100; # {n}" for n, s in pool.servers.items())
    (folder / "web.conf").write_text("\n".join([*servers, "  # of the shop", ""]))
    config.write_text(f"""daemon off; user root; pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{ log_format pools '$upstream_addr|$upstream_status';
  access_log {log} pools; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream web {{ include {folder}/web.conf; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://web; }} }} }}
""")
    with _served(pool, [NGINX, "-c", str(config)]):
        yield pool


def _pool(port: int, proxy: ProxyTarget, names: Sequence[str]) -> BalancedPool:
    return BalancedPool(f"http://127.0.0.1:{port}/", proxy, {n: BackendServer(n) for n in names})


@contextmanager
def _served(pool: BalancedPool, argv: Sequence[str]) -> Iterator[None]:
    """The servers and the proxy before them, while the block runs."""
    with ExitStack() as stack:
        for one in pool.servers.values():
            stack.enter_context(one.running())
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            _wait_for(process, pool.url)
            yield
        finally:
            process.terminate()  # which nginx tells its workers
            process.communicate()


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + 20.0
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerError(f"the proxy ended: {process.communicate()[1].decode()[-500:]}")
        with suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise ServerError("the proxy does not answer")
