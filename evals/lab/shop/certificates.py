"""Certificates: what a server presents and whom a client trusts."""

import ssl
from pathlib import Path
from subprocess import run


def presented(pem: Path) -> ssl.SSLContext:
    """A server's context with the certificate and key in a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.num_tickets = 0  # a resumed session would not look at the certificate again
    return context


def trusting(authority: Path) -> ssl.SSLContext:
    """A client's context that trusts this authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    return context


def not_after(pem: Path) -> float:
    """Until when a certificate is valid, Unix seconds."""
    said = run(
        ["openssl", "x509", "-in", str(pem), "-noout", "-enddate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return ssl.cert_time_to_seconds(said.strip().partition("=")[2])


class Authority:
    """The lab's own certificate authority, made by openssl in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key, self._pem = folder / "authority.key", folder / "authority.pem"
        folder.mkdir(parents=True, exist_ok=True)
        if not self._pem.exists():
            self._openssl(
                *("req", "-x509", *_NEW_KEY, "-keyout", str(self._key), "-out", str(self._pem)),
                *("-days", "30", "-subj", "/CN=lab authority"),
            )

    def issue(self, name: str, days: int) -> None:
        """A certificate for a service; with negative days one that has expired already."""
        key, request, made = (self._folder / f"{name}.{x}" for x in ("key", "csr", "crt"))
        self._openssl(
            *("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request)),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-out", str(made), "-days", str(days)),
            *("-CA", str(self._pem), "-CAkey", str(self._key), "-CAcreateserial"),
            *("-copy_extensions", "copy"),
        )
        draft = self._folder / f".{name}.pem"
        draft.write_text(made.read_text("ascii") + key.read_text("ascii"), encoding="ascii")
        draft.replace(self._folder / f"{name}.pem")

    def _openssl(self, *arguments: str) -> None:
        run(["openssl", *arguments], check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
