"""With TLS between the processes, a client gets in by a certificate of the same authority, and nobody else does."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from launch import ADMIN

from product import SERVICES, Product, running

# The name that the processes and their clients have in common.
INSIDE = "inside.example"


@dataclass
class Files:
    """What one side shows, and whom it believes."""

    certificate: Path
    key: Path
    authority: Path


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        made = self._of(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, *names: str) -> Files:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        made = self._of(subject, key, x509.SubjectAlternativeName([_alternative(it) for it in names]))
        files = Files(self.folder / f"{file}.pem", self.folder / f"{file}.key", self.folder / "ca.pem")
        files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files.key.write_bytes(key.private_bytes(*form))
        return files

    def _of(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        is_ca = isinstance(extension, x509.BasicConstraints)
        return builder.add_extension(extension, critical=is_ca).sign(self.key, hashes.SHA256())


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def inside(authority: Authority) -> Files:
    return authority.issue("inside", "127.0.0.1", INSIDE)


@pytest.fixture(scope="module")
def guarded(inside: Files) -> Iterator[Product]:
    settings = {
        "TLS_CERT_FILE": str(inside.certificate),
        "TLS_KEY_FILE": str(inside.key),
        "TLS_CA_FILE": str(inside.authority),
        "TLS_CLIENT_NAMES": INSIDE,
        "DEMO": "false",
    }
    with running(**settings) as it:
        yield it


def channel(place: str, files: Optional[Files]) -> grpc.Channel:
    if files is None:
        return grpc.insecure_channel(place)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=files.authority.read_bytes(),
        private_key=files.key.read_bytes(),
        certificate_chain=files.certificate.read_bytes(),
    )
    return grpc.secure_channel(place, credentials)


def sign_in(guarded: Product, contract: SimpleNamespace, files: Optional[Files]) -> str:
    tokens = contract.load("identity.v1.token_service")
    ask = tokens.IssueTokenRequest(username=ADMIN, password=guarded.password)
    with channel(guarded.places["identity"], files) as opened:
        return str(tokens.TokenServiceStub(opened).IssueToken(ask, timeout=5).token.access_token)


def test_who_shows_a_certificate_gets_in(guarded: Product, contract: SimpleNamespace, inside: Files) -> None:
    me = [("authorization", f"Bearer {sign_in(guarded, contract, inside)}")]
    pipelines = contract.load("opportunities.v1.pipeline_service")
    with channel(guarded.places["opportunities"], inside) as opened:
        answer = pipelines.PipelineServiceStub(opened).ListPipelines(
            pipelines.ListPipelinesRequest(), metadata=me, timeout=5
        )
    assert len(answer.items) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_else_does(
    service: str, guarded: Product, contract: SimpleNamespace, authority: Authority, tmp_path: Path
) -> None:
    forger = Authority(tmp_path / "theirs").issue("forger", INSIDE)
    # Believes us, and shows what another authority has signed.
    forger.authority = authority.folder / "ca.pem"
    stranger = authority.issue("stranger", "stranger.example")
    keys = contract.load("identity.v1.key_service")
    for files, code in (
        (None, grpc.StatusCode.UNAVAILABLE),
        (forger, grpc.StatusCode.UNAVAILABLE),
        (stranger, grpc.StatusCode.PERMISSION_DENIED),
    ):
        with channel(guarded.places[service], files) as opened, pytest.raises(grpc.RpcError) as refused:
            keys.KeyServiceStub(opened).ListKeys(keys.ListKeysRequest(), timeout=5)
        assert refused.value.code() == code, refused.value


def test_buf_gets_in_too(guarded: Product, inside: Files, programs: Path) -> None:
    files = ["--cacert", inside.authority, "--cert", inside.certificate, "--key", inside.key]
    url = f"https://{guarded.places['analytics']}"
    command = [programs / "buf", "curl", "--protocol", "grpc", *files, "--list-methods", url]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "salespipeline.analytics.v1.ForecastService/GetForecast" in found.stdout
