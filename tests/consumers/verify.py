"""Verifies tokens with PyJWT, joserfc or Authlib: `verify.py LIBRARY SECONDS ROOT`, where SECONDS is how
long a set is cached and ROOT a PEM file. Each line that is read is a question, as JSON; each line that is
written is its number and `ok`, or why not."""

import json
import ssl
import sys
import time
import urllib.request
import warnings

LIBRARY, SECONDS, ROOT = sys.argv[1], float(sys.argv[2]), sys.argv[3]
TRUST = ssl.create_default_context(cafile=ROOT)
# That EdDSA is deprecated, and Authlib's own JOSE.
warnings.showwarning = lambda *_, **__: None


class PyJwt:
    def __init__(self, url):
        self.client = jwt.PyJWKClient(
            url, lifespan=SECONDS, cooldown_duration=SECONDS, ssl_context=TRUST
        )

    def verify(self, token, algorithm, issuer, audience):
        key = self.client.get_signing_key_from_jwt(token)
        jwt.decode(token, key, algorithms=[algorithm], issuer=issuer, audience=audience)


class Fetched:
    """What a service does that caches by itself: the whole set, fetched again when its time is over."""

    def __init__(self, url):
        self.url, self.until, self.keys = url, 0.0, None

    def held(self):
        if time.monotonic() >= self.until:
            with urllib.request.urlopen(self.url, timeout=10, context=TRUST) as answer:
                self.keys = self.read(json.load(answer))
            self.until = time.monotonic() + SECONDS
        return self.keys


class Joserfc(Fetched):
    def read(self, found):
        return jwk.KeySet.import_key_set(found)

    def verify(self, token, algorithm, issuer, audience):
        read = jwt.decode(token, self.held(), algorithms=[algorithm])
        must = {"essential": True}
        claims = jwt.JWTClaimsRegistry(
            iss={"value": issuer, **must}, aud={"value": audience, **must}, exp=must
        )
        claims.validate(read.claims)


class Authlib(Fetched):
    def read(self, found):
        return JsonWebKey.import_key_set(found)

    def verify(self, token, algorithm, issuer, audience):
        must = {"essential": True}
        wanted = {"iss": {"value": issuer, **must}, "aud": {"value": audience, **must}, "exp": must}
        claims = JsonWebToken([algorithm]).decode(token, self.held(), claims_options=wanted)
        claims.validate()


if LIBRARY == "pyjwt":
    import jwt

    VERIFIER = PyJwt
elif LIBRARY == "joserfc":
    from joserfc import jwk, jwt

    VERIFIER = Joserfc
else:
    from authlib.jose import JsonWebKey, JsonWebToken

    VERIFIER = Authlib

opened = {}
for line in sys.stdin:
    question = json.loads(line)
    number, url = question.pop("number"), question.pop("url")
    try:
        if url not in opened:
            opened[url] = VERIFIER(url)
        opened[url].verify(**question)
        said = "ok"
    except Exception as error:  # Whatever a library throws is its answer.
        said = f"{type(error).__name__}: {error}".replace("\n", " ")
    print(number, said, flush=True)
