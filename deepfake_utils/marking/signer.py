"""Who signs what this installation writes: a certificate chain of its own, or an organisation's.

A local signer proves that a file was not changed since it was signed here, not who "here" is: its
root is on no trust list. That takes a certificate from an authority of the C2PA trust list, whose
chain, key or signing service (a callback) goes into a `Signer`.
"""

from __future__ import annotations

import datetime
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder, KeyUsage

FOLDER_VARIABLE = "DEEPFAKE_UTILS_CONFIG"  # environment variable that moves the settings elsewhere
YEARS = 10  # without a time stamp a signature is worth nothing once its certificate has run out
# A clock may be ahead when the signer is made, and right when it signs; to claim an earlier day is
# no use to anybody, as no list knows the signer.
BACKDATED = 366  # days
_FILES = ("signer.key", "chain.pem", "root.pem")
_ALGORITHMS = frozenset({"es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"})


@dataclass(frozen=True)
class Signer:
    """Who signs: a chain of certificates, and the key or a function that signs with it."""

    chain: bytes  # PEM: the signer's certificate first, the root last
    key: bytes | None = field(default=None, repr=False)  # PEM, PKCS #8, not encrypted
    sign: Callable[[bytes], bytes] | None = None  # bytes -> signature, where the key stays away
    algorithm: str = "es256"  # as C2PA names it
    time_stamp_url: str | None = None  # RFC 3161 server; asked over the network at each signing

    def __post_init__(self) -> None:
        """Check that it can sign.

        Raises:
            ValueError: naming the field, what it should be, and what it is.
        """
        if (self.key is None) == (self.sign is None):
            raise ValueError("expected either key or sign, got both or neither")
        if self.algorithm not in _ALGORITHMS:
            raise ValueError(
                f"algorithm: expected one of {sorted(_ALGORITHMS)}, got {self.algorithm!r}"
            )
        if b"-----BEGIN CERTIFICATE-----" not in self.chain:
            raise ValueError("chain: expected certificates as PEM, got something else")

    @classmethod
    def from_files(
        cls,
        chain: str | os.PathLike[str],
        key: str | os.PathLike[str],
        algorithm: str = "es256",
        time_stamp_url: str | None = None,
    ) -> Signer:
        """The signer of an organisation that has a certificate and a key as PEM files.

        Raises:
            FileNotFoundError: if one is not there.
            ValueError: if they cannot sign.
        """
        return cls(
            Path(chain).read_bytes(), Path(key).read_bytes(), None, algorithm, time_stamp_url
        )


def config_folder() -> Path:
    """Where this user's settings are: $DEEPFAKE_UTILS_CONFIG, else where the system keeps them."""
    if moved := os.environ.get(FOLDER_VARIABLE):
        return Path(moved)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "deepfake_utils"


def local_signer(folder: str | os.PathLike[str] | None = None) -> Signer:
    """This installation's own signer; made at the first call.

    A root and a signer (ECDSA on P-256, ten years) are made on this machine. The root's key is
    thrown away at once; the signer's is in `signer.key`, readable by this user alone. `root.pem`
    is what others may put on their own list of whom they trust.

    Args:
        folder: where it is kept; None takes "identity" in `config_folder`.

    Raises:
        ValueError: if the signer there is incomplete or has run out.
        OSError: if the folder cannot be made or read.
    """
    folder = config_folder() / "identity" if folder is None else Path(folder)
    if not folder.exists():
        _make(folder)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"expected {', '.join(_FILES)} in {folder}, got none of {', '.join(missing)}; move the "
            "folder away and a new signer is made"
        )
    chain = (folder / "chain.pem").read_bytes()
    begin, until = _validity(chain)
    now = datetime.datetime.now(datetime.timezone.utc)
    if not begin <= now <= until:
        clock = f"set this machine's clock, which says {now:%Y-%m-%d}; if it is right, "
        raise ValueError(
            f"expected a signer that is valid today, got one from {begin:%Y-%m-%d} until "
            f"{until:%Y-%m-%d} in {folder}; {clock if now < begin else ''}move the folder away "
            "and a new signer is made"
        )
    return Signer(chain, (folder / "signer.key").read_bytes())


def local_root(folder: str | os.PathLike[str] | None = None) -> bytes:
    """The root certificate of the local signer, PEM: for `read_provenance(path, trust=...)`.

    Raises:
        ValueError, OSError: as `local_signer`.
    """
    local_signer(folder)
    folder = config_folder() / "identity" if folder is None else Path(folder)
    return (folder / "root.pem").read_bytes()


def valid_until(chain: bytes) -> datetime.datetime:
    """When the first certificate of a chain (PEM) runs out, UTC."""
    return _validity(chain)[1]


def _validity(chain: bytes) -> tuple[datetime.datetime, datetime.datetime]:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(chain)
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _make(folder: Path) -> None:
    """Make a signer beside its place and rename it, so that two processes get the same one."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".signer-", dir=folder.parent))  # for this user alone
    try:
        key, chain, root = make_chain()
        handle = os.open(made / "signer.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
        (made / "chain.pem").write_bytes(chain)
        (made / "root.pem").write_bytes(root)
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def make_chain(
    valid_for: datetime.timedelta = datetime.timedelta(days=365.25 * YEARS),
) -> tuple[bytes, bytes, bytes]:
    """A new root and a signer below it, as C2PA wants them (Specification 2.2, 14.5).

    Args:
        valid_for: how long, from now on.

    Returns:
        The signer's key, its chain, and the root; all PEM.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = now - datetime.timedelta(days=BACKDATED), now + valid_for
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(name: str, public: EllipticCurvePrivateKey, issuer: str) -> CertificateBuilder:
        subject, issued_by = (
            x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "deepfake_utils (local)"),
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
                ]
            )
            for common in (name, issuer)
        )
        own = x509.SubjectKeyIdentifier.from_public_key(public.public_key())
        builder = x509.CertificateBuilder(issued_by, subject, public.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(begin).not_valid_after(end).add_extension(own, False)

    root_name = "local root"
    root = (
        certificate(root_name, root_key, root_name)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(signs_certificates=True), True)
        .sign(root_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    signer = (
        certificate("local signer", key, root_name)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(signs_certificates=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(issuer, False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = signer.public_bytes(pem) + root.public_bytes(pem)
    return secret, chain, root.public_bytes(pem)


def _usage(signs_certificates: bool) -> KeyUsage:
    """What a key may be used for: certificates if it is the root's, else signatures."""
    from cryptography import x509

    uses = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    allowed = {"key_cert_sign", "crl_sign"} if signs_certificates else {"digital_signature"}
    return x509.KeyUsage(**{use: use in allowed for use in uses})
