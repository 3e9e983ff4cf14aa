"""Writes authorities and the certificates they sign into a folder: `certificates.py FOLDER`. Run by the interpreter of the tools,
which has `cryptography`.

Of each NAME below comes `NAME.pem`, the certificate with what is between it and its authority, and `NAME.key`.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
HERE = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


class Signed:
    """A certificate and its key; signed by itself if by nobody else."""

    def __init__(self, name, by=None, authority=False, names=(), begins=-DAY, ends=DAY, usage=ExtendedKeyUsageOID.SERVER_AUTH):
        self.key, self.by = ec.generate_private_key(ec.SECP256R1()), by
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(self.name).public_key(self.key.public_key())
        builder = builder.issuer_name(by.name if by else self.name).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW + begins).not_valid_after(NOW + ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        self.certificate = builder.sign((by or self).key, hashes.SHA256())

    def chain(self):
        """From itself to below its authority."""
        return [self] + (self.by.chain() if self.by and self.by.by else [])

    def write(self, folder, name):
        encoding = serialization.Encoding.PEM
        whole = b"".join(signed.certificate.public_bytes(encoding) for signed in self.chain())
        (folder / f"{name}.pem").write_bytes(whole)
        (folder / f"{name}.key").write_bytes(self.key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def main():
    folder = pathlib.Path(sys.argv[1])
    ours, theirs = Signed("Authority of the Suite", authority=True), Signed("Authority of Nobody", authority=True)
    between = Signed("Between", by=ours, authority=True)
    elsewhere = (x509.DNSName("elsewhere.example"),)
    for name, signed in {
        "ours": ours, "theirs": theirs, "good": Signed("good", ours, names=HERE),
        "chained": Signed("chained", between, names=HERE), "untrusted": Signed("untrusted", theirs, names=HERE),
        "alone": Signed("alone", names=HERE), "elsewhere": Signed("elsewhere", ours, names=elsewhere),
        # The common name counts for nothing.
        "nameless": Signed("localhost", ours), "expired": Signed("expired", ours, names=HERE, begins=-9 * DAY, ends=-DAY),
        "early": Signed("early", ours, names=HERE, begins=DAY, ends=9 * DAY),
    }.items():
        signed.write(folder, name)
    for name, signed in clients(ours, theirs, between).items():
        signed.write(folder, name)


def clients(ours, theirs, between):
    """Certificates that clients show."""
    ann = (x509.UniformResourceIdentifier("spiffe://suite.example/ann"), x509.DNSName("Ann.suite.example"),
           x509.RFC822Name("ann@suite.example"))
    two = ann[:1] + (x509.UniformResourceIdentifier("spiffe://suite.example/bob"),)

    def client(by, names=ann, **more):
        return Signed("Ann of the Suite", by, names=names, **({"usage": ExtendedKeyUsageOID.CLIENT_AUTH} | more))

    return {
        "ann": client(ours), "ann_chained": client(between), "ann_untrusted": client(theirs), "ann_alone": client(None),
        "ann_expired": client(ours, begins=-9 * DAY, ends=-DAY), "ann_early": client(ours, begins=DAY, ends=9 * DAY),
        "ann_server": client(ours, usage=ExtendedKeyUsageOID.SERVER_AUTH), "ann_two": client(ours, two), "ann_none": client(ours, ()),
        "ann_short": client(ours, ends=datetime.timedelta(seconds=20)),
        "bob": client(ours, (x509.UniformResourceIdentifier("spiffe://suite.example/bob"),)),
    }


if __name__ == "__main__":
    main()
