"""TLS with a service: which certificates count, and what its faults mean."""

from __future__ import annotations

import os
import shlex
import ssl
import stat
from pathlib import Path

from vecload.errors import ClientRefused, NotTrusted, TargetError, UsageError
from vecload.targets.reach import Reach


def tls_context(reach: Reach) -> ssl.SSLContext:
    """The settings of TLS connections, with the files of `reach` read.

    Raises:
        UsageError: A file can't be read, or has no usable certificate or key.
    """
    if reach.ca_file is None:
        context = ssl.create_default_context()
    else:
        _check_readable(reach.ca_file, "--ca-file")
        try:
            context = ssl.create_default_context(cafile=reach.ca_file)
        except ssl.SSLError:
            raise UsageError(
                f"the file {reach.ca_file} of --ca-file has no certificate in PEM form", hint=_TO_PEM
            ) from None
        # What the user names is trusted, also an authority that another one signed.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if reach.client_cert is not None:
        _load_client_cert(context, reach.client_cert, reach.client_key)
    return context


_TO_PEM = "convert it: openssl x509 -inform der -in FILE -out FILE.pem"


def _load_client_cert(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    _check_readable(cert, "--client-cert")
    if key is not None:
        _check_readable(key, "--client-key")
    if key is not None or b"PRIVATE KEY" in cert.read_bytes():
        _check_private(key or cert)
    asked: list[bool] = []

    def password() -> bytes:
        # Otherwise OpenSSL asks for it at the terminal.
        asked.append(True)
        return b""

    try:
        context.load_cert_chain(cert, key, password)
    except ssl.SSLError as error:
        if asked:
            raise UsageError(
                f"the private key in {key or cert} is encrypted",
                hint="decrypt it into a file that only you can read: openssl pkey -in FILE -out FILE.plain",
            ) from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(
                f"the private key in {key or cert} is not the one of the certificate {cert}"
            ) from None
        if key is None:
            why, hint = "has no certificate and private key in PEM form", "name the key with --client-key"
        else:
            why, hint = f"and {key} are not a certificate and its private key in PEM form", _TO_PEM
        raise UsageError(f"the client certificate {cert} {why}", hint=hint) from None


def _check_readable(file: Path, flag: str) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"the file {file} of {flag} can't be read: {error.strerror}") from None


def _check_private(file: Path) -> None:
    """Refuse a private key that others can read. Root may share one with a group."""
    status = file.stat()
    if stat.S_ISREG(status.st_mode) and status.st_mode & (0o037 if status.st_uid == 0 else 0o077):
        raise UsageError(
            f"the private key in {file} can be read by others than its owner",
            hint=f"run: chmod 600 {shlex.quote(os.fspath(file))}",
        )


def tls_fault(error: ssl.SSLError, location: str, reach: Reach) -> TargetError | None:
    """What to raise for a fault of TLS that waiting can't remove; None for one that may pass.

    Args:
        error: The fault.
        location: The service.
        reach: How it is reached.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        why, hint = _CERTIFICATE.get(
            error.verify_code, (f"is not trusted (X.509 error {error.verify_code})", "")
        )
        if not hint:
            hint = f"its authority is not in {reach.ca_file}" if reach.ca_file else _NAME_CA
        return NotTrusted(f"the certificate of {location} {why}", hint=hint)
    reason = getattr(error, "reason", None) or ""
    refused = next((why for code, why in _ALERTS if reason.endswith(code)), None)
    if refused is not None and reach.client_cert is not None:
        return ClientRefused(
            f"{location} refuses the client certificate {reach.client_cert}{refused}",
            hint="name another one with --client-cert",
        )
    if refused is not None:
        return ClientRefused(f"{location} requires a client certificate", hint=_NAME_CERT)
    if reason in _NO_TLS:
        return NotTrusted(
            f"{location} does not speak TLS", hint="check the port; http:// is for a service without TLS"
        )
    if reason in _OTHER_TLS:
        return NotTrusted(f"{location} speaks no version of TLS that this machine takes")
    if reason.endswith("ALERT_HANDSHAKE_FAILURE"):
        return NotTrusted(
            f"{location} refuses TLS with this machine",
            hint=f"if it requires a client certificate, {_NAME_CERT}",
        )
    return None


_NAME_CA = "name the file of its authority with --ca-file, if you trust it"
_NAME_CERT = "name yours with --client-cert and --client-key"
_CERTIFICATE = {
    9: ("is not valid yet", "check the clocks of both machines"),
    10: ("has expired", "it must be renewed; check this machine's clock too"),
    18: ("is its own authority, which is not trusted", ""),
    19: ("is signed by an authority that is not trusted", ""),
    2: ("is signed by an authority that is not trusted", ""),
    20: ("is signed by an authority that is not trusted", ""),
    21: ("is signed by an authority that is not trusted", ""),
    23: ("was revoked", "it must be replaced"),
    62: ("is for another host", "give --to the host name that the certificate has"),
    64: ("is for another address", "give --to the host name or address that the certificate has"),
}
"""By OpenSSL's numbers of X509_V_ERR: what is wrong, and what to do; "" is to name the authority."""
_ALERTS = (
    ("ALERT_CERTIFICATE_REQUIRED", ""),
    ("ALERT_UNKNOWN_CA", " (it does not know its authority)"),
    ("ALERT_CERTIFICATE_EXPIRED", " (it has expired)"),
    ("ALERT_CERTIFICATE_REVOKED", " (it was revoked)"),
    ("ALERT_BAD_CERTIFICATE", ""),
    ("ALERT_CERTIFICATE_UNKNOWN", ""),
    ("ALERT_UNSUPPORTED_CERTIFICATE", ""),
    ("ALERT_ACCESS_DENIED", ""),
    ("ALERT_DECRYPT_ERROR", ""),
)
"""Ends of OpenSSL's names for alerts about this client's certificate, and what they add."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
_OTHER_TLS = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION")


def fault_of_nginx(status: int, body: bytes, location: str) -> TargetError | None:
    """What to raise for nginx's own pages about TLS; None for any other answer."""
    if status != 400 or len(body) > _PAGE_BYTES:
        return None
    if b"The plain HTTP request was sent to HTTPS port" in body:
        return NotTrusted(f"{location} speaks TLS alone", hint="write https:// in its address")
    for text, why in _PAGES:
        if text in body:
            return ClientRefused(f"{location} {why}", hint=_NAME_CERT)
    return None


_PAGE_BYTES = 4096
_PAGES = (
    (b"No required SSL certificate was sent", "requires a client certificate"),
    (b"The SSL certificate error", "refuses the client certificate"),
)
