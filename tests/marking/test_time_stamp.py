"""pytest tests/marking/test_time_stamp.py: signing with a time-stamp server (RFC 3161)."""

import datetime
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deepfake_utils.marking.reading import read_provenance
from deepfake_utils.marking.signer import Signer, make_chain, valid_until
from deepfake_utils.marking.writing import write_picture

SETTINGS = """[tsa]
default_tsa = own
[own]
serial = {0}/serial
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
signer_digest = sha256
ess_cert_id_alg = sha256
"""


def clock_certificate(folder):
    """A key and a certificate that may sign nothing but time stamps; the latter as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clock")])
    day, purpose = datetime.timedelta(days=1), [ExtendedKeyUsageOID.TIME_STAMPING]
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.ExtendedKeyUsage(purpose), critical=True)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "clock.key").write_bytes(secret)
    (folder / "clock.pem").write_bytes(cert.public_bytes(pem))
    return cert.public_bytes(pem)


@pytest.fixture
def clock(tmp_path_factory):
    """(URL, certificate, questions asked) of a server that OpenSSL answers for."""
    folder, asked = tmp_path_factory.mktemp("clock"), []
    certificate = clock_certificate(folder)
    (folder / "settings").write_text(SETTINGS.format(folder))
    (folder / "serial").write_text("01\n")

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            (folder / "question").write_bytes(asked[-1])
            command = "openssl ts -reply -queryfile question -config settings"
            command += " -signer clock.pem -inkey clock.key"
            done = subprocess.run(command.split(), cwd=folder, capture_output=True, check=True)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(done.stdout)))
            self.end_headers()
            self.wfile.write(done.stdout)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", certificate, asked
        server.shutdown()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl answers for the server")
@pytest.mark.slow
def test_a_time_stamp_outlives_the_certificate(tmp_path, frame, clock):
    url, certificate, asked = clock
    key, chain, root = make_chain(datetime.timedelta(seconds=4))
    signer = Signer(chain, key, time_stamp_url=url)
    path = write_picture(tmp_path / "p.png", frame, signer=signer)
    assert len(asked) == 1
    time.sleep(max(0.0, valid_until(chain).timestamp() + 1.0 - time.time()))
    found = read_provenance(path, root + certificate)
    assert found.state == "trusted" and found.sound
    unknown = read_provenance(path, root)  # anybody can run a server and set its clock
    assert unknown.state == "invalid" and "no time stamp of a known server" in unknown.explanation


def test_without_the_server_nothing_is_written(tmp_path, frame):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
    key, chain, _ = make_chain()
    path = tmp_path / "out" / "p.png"
    with pytest.raises(OSError, match=r"nothing is written: check .* time-stamp server"):
        write_picture(path, frame, signer=Signer(chain, key, time_stamp_url=url))
    assert list(path.parent.iterdir()) == []
