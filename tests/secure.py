"""A server whose clients come over TLS: the same requests, by another port.

Its certificate is tests/certificates/local.pem, which clients trust and check.
"""

import http.client
import ssl
from pathlib import Path

from ringside import HOST, PATIENCE_S, Server, free_port

CERTIFICATES = Path(__file__).resolve().parent / "certificates"
TRUSTED = CERTIFICATES / "local.pem"


def pair(name):
    """A certificate and its key, as the setting wants them."""
    return f"{CERTIFICATES / name}.pem:{CERTIFICATES / name}.key.pem"


def client_context(trusted=TRUSTED):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    context.set_alpn_protocols(["http/1.1"])
    return context


class SecureServer(Server):
    """`port`, `address` and the URLs are those of the TLS port; `plain_port` is the other."""

    def __init__(self, folder, config=None, **options):
        tls_port = free_port()
        settings = {
            "tls_listen": f"{HOST}:{tls_port}",
            "tls_certificates": pair("local"),
            **(config or {}),
        }
        super().__init__(folder, config=settings, **options)
        self.plain_port = self.port
        self.port = tls_port
        self.address = f"{HOST}:{tls_port}"
        self.context = client_context()
        self.foreign = {"ssl": self.context}

    def wrap(self, connection):
        return self.context.wrap_socket(connection, server_hostname=HOST)

    def connect(self):
        return http.client.HTTPSConnection(
            HOST, self.port, timeout=PATIENCE_S, context=self.context
        )

    def url(self, path, scheme="http", **query):
        return super().url(path, scheme + "s", **query)

    def tls_errors(self, reason):
        """How many failures of TLS had this name."""
        return self.metric("ringside_tls_errors_total", reason=reason)
