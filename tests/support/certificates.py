"""Certificates by openssl: an authority of the test's own, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority in a directory.

    Attributes:
        certificate: its own, in PEM.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        subject = ("-subj", "/CN=wharfie test authority", "-days", "2")
        self._openssl("req", "-x509", *_NEW, *subject, "-keyout", self._key, "-out", self.certificate)

    def issue(self, name: str, *, names: str = "IP:127.0.0.1,IP:::1,DNS:localhost") -> tuple[Path, Path]:
        """A certificate and its key.

        Args:
            name: of the files and of the subject.
            names: subject alternative names as openssl writes them.
        """
        certificate, key = self._directory / f"{name}.cert", self._directory / f"{name}.key"
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl("req", *_NEW, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", "2")
        self._openssl("x509", "-req", "-in", request, *signer, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self._directory)


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
