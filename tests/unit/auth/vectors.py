#!/usr/bin/env python3
"""Tokens by another implementation (PyJWT) for test_jwt.c: prints vectors.h.

`python3 vectors.py > vectors.h` makes them anew; signatures of ES256 differ each time.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization

CERTIFICATES = Path(__file__).resolve().parents[2] / "certificates"
SECRET = "a secret of the tests, 32 bytes or more"
NOW = 1_800_000_000
CLAIMS = {"sub": "alice", "exp": NOW + 60, "iat": NOW - 60, "jti": "t-1"}


def private(name):
    return serialization.load_pem_private_key((CERTIFICATES / name).read_bytes(), None)


def public_pem(name):
    return private(name).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header, payload, secret=SECRET):
    """Whatever PyJWT would not sign."""
    signed = f"{part(header)}.{part(payload)}"
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{part(mac)}"


def hs256(claims, secret=SECRET, **headers):
    return jwt.encode(claims, secret, "HS256", headers=headers or None)


def changed(token, at, to):
    return token[:at] + to + token[at + 1:]


def good():
    full = CLAIMS | {"channel": "news:\u00e9\"x\\", "client": "c-9", "info": {"a": [1, "}"]},
                     "b64info": "eyJ4IjoxfQ==", "channels": ["a", "b:\"c\""], "meta": "m",
                     "subs": {"d": {"data": {}}}, "override": {"presence": {"value": True}},
                     "expire_at": NOW + 600, "aud": ["other", "push"], "iss": "me"}
    yield "hs256", hs256(CLAIMS)
    yield "hs256_kid", hs256(CLAIMS, "another secret of thirty-two bytes!!", kid="k\u00e9y")
    yield "rs256", jwt.encode(CLAIMS, private("rsa.key.pem"), "RS256")
    yield "rs256_4096", jwt.encode(CLAIMS, private("rsa4096.key.pem"), "RS256",
                                   headers={"kid": "big"})
    yield "es256", jwt.encode(CLAIMS, private("ec.key.pem"), "ES256")
    yield "full", hs256(full)
    yield "empty", hs256({})
    yield "nulls", hs256({"sub": None, "exp": None, "info": None})
    yield "fraction", hs256({"exp": NOW + 0.5})
    yield "never_ends", hs256(CLAIMS | {"expire_at": 0})


def bad():
    token = hs256(CLAIMS)
    dots = [i for i, c in enumerate(token) if c == "."]
    as_public = public_pem("rsa.key.pem")
    yield "MALFORMED", ""
    yield "MALFORMED", "."
    yield "MALFORMED", ".."
    yield "MALFORMED", "a.b.c.d"
    yield "MALFORMED", token[:dots[1]]
    yield "MALFORMED", token[:dots[1] + 1]
    yield "MALFORMED", token + "."
    yield "MALFORMED", "=" + token
    yield "MALFORMED", changed(token, 3, "+")
    yield "MALFORMED", changed(token, 3, " ")
    yield "MALFORMED", changed(token, len(token) - 3, "/")
    yield "MALFORMED", token + "="
    yield "MALFORMED", by_hand(b"[]", CLAIMS)
    yield "MALFORMED", by_hand({}, CLAIMS)
    yield "MALFORMED", by_hand({"alg": 1}, CLAIMS)
    yield "MALFORMED", by_hand({"alg": "HS256", "kid": 1}, CLAIMS)
    yield "MALFORMED", by_hand({"alg": "HS256", "crit": ["exp"]}, CLAIMS)
    yield "MALFORMED", by_hand(b'{"alg":"HS256","alg":"HS256"}', CLAIMS)
    yield "MALFORMED", by_hand(b'{"alg":"HS256","kid":"a","kid":"b"}', CLAIMS)
    yield "MALFORMED", by_hand(b'{"alg":"HS256"', CLAIMS)
    yield "MALFORMED", by_hand({"alg": "HS256"}, b'{"sub":"a"}x')
    yield "MALFORMED", by_hand({"alg": "HS256"}, b'{"sub":"\xff"}')
    yield "MALFORMED", by_hand({"alg": "HS256"}, b'"alice"')
    yield "MALFORMED", by_hand({"alg": "HS256"}, b'')
    yield "ALGORITHM", by_hand({"alg": "none"}, CLAIMS)
    yield "ALGORITHM", f"{part({'alg': 'none'})}.{part(CLAIMS)}.AAAA"
    yield "ALGORITHM", by_hand({"alg": "hs256"}, CLAIMS)
    yield "ALGORITHM", by_hand({"alg": "HS512"}, CLAIMS)
    yield "ALGORITHM", jwt.encode(CLAIMS, SECRET, "HS384")
    yield "ALGORITHM", by_hand({"alg": "HS256", "kid": "big"}, CLAIMS,
                               public_pem("rsa4096.key.pem"))
    yield "SIGNATURE", by_hand({"alg": "HS256"}, CLAIMS, as_public)
    yield "SIGNATURE", by_hand({"alg": "HS256"}, CLAIMS, "wrong")
    yield "SIGNATURE", by_hand({"alg": "RS256"}, CLAIMS)
    yield "SIGNATURE", by_hand({"alg": "ES256"}, CLAIMS)
    yield "SIGNATURE", f"{part({'alg': 'ES256'})}.{part(CLAIMS)}.{part(bytes(64))}"
    yield "SIGNATURE", f"{part({'alg': 'RS256'})}.{part(CLAIMS)}.{part(bytes(256))}"
    yield "SIGNATURE", changed(token, len(token) - 3, "A" if token[-3] != "A" else "B")
    yield "SIGNATURE", token[:dots[0] + 1] + part({"sub": "root"}) + token[dots[1]:]
    yield "SIGNATURE", token[:dots[1] + 1] + part(bytes(31))
    yield "SIGNATURE", token[:dots[1] + 1] + part(bytes(33))
    yield "SIGNATURE", jwt.encode(CLAIMS, private("rsa3072.key.pem"), "RS256")
    yield "SIGNATURE", jwt.encode(CLAIMS, private("wild.key.pem"), "ES256")
    yield "KEY", hs256(CLAIMS, kid="unknown")
    yield "KEY", hs256(CLAIMS, kid="")
    yield "EXPIRED", hs256(CLAIMS | {"exp": NOW - 10})
    yield "EXPIRED", hs256(CLAIMS | {"exp": 1})
    yield "NOT_YET", hs256(CLAIMS | {"nbf": NOW + 11})
    yield "AUDIENCE", hs256(CLAIMS | {"aud": "other"})
    yield "AUDIENCE", hs256(CLAIMS | {"aud": ["other", "pus"]})
    yield "AUDIENCE", hs256(CLAIMS | {"aud": []})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"exp": str(NOW + 60)})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"exp": -1})
    yield "CLAIMS", by_hand({"alg": "HS256"}, b'{"exp":1e99}')
    yield "CLAIMS", by_hand({"alg": "HS256"}, b'{"exp":999999999999999999999}')
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"nbf": True})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"sub": 42})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"aud": 1})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"channels": "a"})
    yield "CLAIMS", by_hand({"alg": "HS256"}, {"subs": []})
    yield "CLAIMS", by_hand({"alg": "HS256"}, b'{"sub":"a","sub":"b"}')
    yield "CLAIMS", by_hand({"alg": "HS256"}, b'{"exp":1900000000,"\\u0065xp":1900000000}')
    yield "TOO_LONG", hs256(CLAIMS | {"info": "x" * 4096})


def literal(text):
    out = json.dumps(text).replace("\\u00e9", "\\xc3\\xa9\" \"")
    return "\n     ".join(f'"{out[1:-1][i:i + 80]}"' for i in range(0, max(len(out) - 2, 1), 80))


def main():
    print("/* vectors: tokens by PyJWT; made by vectors.py.\n *\n * Threads  any.")
    print(" * Memory   constants. */\n#pragma once\n\n/* clang-format off */")
    print(f"#define VECTORS_NOW_S {NOW}\n#define VECTORS_SECRET {literal(SECRET)}")
    for name in ("rsa", "rsa4096", "ec", "p384"):
        lines = public_pem(name + ".key.pem").splitlines(keepends=True)
        print(f"#define VECTORS_{name.upper()} \\")
        print(" \\\n".join("    " + json.dumps(line) for line in lines))
    print("\n/* X(name, token) */\n#define VECTORS_GOOD(X) \\")
    rows = [f"    X({name}, \\\n     " + literal(token).replace("\n", " \\\n") + ")"
            for name, token in good()]
    print(" \\\n".join(rows))
    print("\n/* X(NAME of the error, token) */\n#define VECTORS_BAD(X) \\")
    rows = [f"    X({name}, \\\n     " + literal(token).replace("\n", " \\\n") + ")"
            for name, token in bad()]
    print(" \\\n".join(rows))


if __name__ == "__main__":
    main()
