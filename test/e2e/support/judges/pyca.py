"""What Python's cryptography says: of packages (PKCS #12), and of certificates and a CRL.

Takes the name of a JSON file with a request, prints a report; a problem is a text, the empty text
none. Versions before 45 have no verifier of client certificates: then "verified" is null.
"""

import datetime
import json
import pathlib
import sys

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12

request = json.loads(pathlib.Path(sys.argv[1]).read_text())


def read(name):
    return pathlib.Path(name).read_bytes()


def public_bytes(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def judge_package(package):
    try:
        content = pkcs12.load_pkcs12(read(package["File"]), package["Password"].encode())
    except ValueError as error:
        return str(error)
    certificate = content.cert.certificate
    if certificate.public_bytes(Encoding.DER) != read(package["Certificate"]):
        return "another certificate"
    if public_bytes(content.key.public_key()) != public_bytes(certificate.public_key()):
        return "another key"
    return ""


authority = x509.load_der_x509_certificate(read(request["Authority"]))
revocation_list = x509.load_der_x509_crl(read(request["RevocationList"]))
certificates = [x509.load_der_x509_certificate(read(name)) for name in request["Certificates"]]


def judge_certificates():
    try:
        from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
    except ImportError:
        return None
    if int(cryptography.__version__.split(".")[0]) < 45:
        return None
    at = datetime.datetime.fromtimestamp(request["At"], datetime.timezone.utc)
    verifier = PolicyBuilder().store(Store([authority])).time(at).build_client_verifier()

    def judge(certificate):
        try:
            verifier.verify(certificate, [])
        except VerificationError as error:
            return str(error)
        return ""

    return [judge(certificate) for certificate in certificates]


def reason_of(entry):
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return None


print(
    json.dumps(
        {
            "version": cryptography.__version__,
            "packages": [judge_package(package) for package in request["Packages"]],
            "verified": judge_certificates(),
            "revoked": [
                revocation_list.get_revoked_certificate_by_serial_number(c.serial_number) is not None
                for c in certificates
            ],
            "listSigned": revocation_list.is_signature_valid(authority.public_key()),
            "reasons": [reason_of(entry) for entry in revocation_list],
        }
    )
)
