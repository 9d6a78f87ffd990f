"""How the tests start a Chromium."""

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Over TLS the pages come from servers with a self-signed certificate of the tests.
    "--ignore-certificate-errors",
    # Two pages find each other by names that only a network with multicast resolves.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)

# The last list of features counts, so it has the other one, too.
OLD_HELLO = "--disable-features=WebRtcHideLocalIpsWithMdns,WebRtcPqcForDtls"
