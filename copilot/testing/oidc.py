"""An OpenID provider as the standard has it, behind an httpx transport; and ways to lie.

Source: OpenID Connect Core 1.0, 3.1.2 and 3.1.3; OAuth 2.0 (RFC 6749, 4.1.2: a code is used once);
PKCE (RFC 7636, 4.6).
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ISSUER = "https://sso.example/realm"


@dataclass
class LocalProvider:
    """Signs with RS256 and its own keys; `person` is who is at the browser.

    `spoil` changes the claims before they are signed, `sign` how, for what must be refused.
    """

    client_id: str
    client_secret: str
    redirect_uri: str
    clock: Callable[[], float]
    person: dict[str, object] = field(default_factory=lambda: {"sub": "1", "groups": ["sre"]})
    spoil: Callable[[dict[str, object]], dict[str, object]] = lambda claims: claims
    sign: Callable[["LocalProvider", dict[str, object]], str] = lambda it, claims: it.signed(claims)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        """How it is reached."""
        return httpx.MockTransport(self._answer)

    def authorize(self, address: str) -> dict[str, str]:
        """What the browser brings back after the person agreed at this address."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if (asked["response_type"], asked["client_id"]) != ("code", self.client_id):
            return {"error": "unauthorized_client", "state": asked.get("state", "")}
        if asked["redirect_uri"] != self.redirect_uri or "openid" not in asked["scope"].split():
            return {"error": "invalid_request", "state": asked.get("state", "")}
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    def signed(self, claims: dict[str, object]) -> str:
        """The claims as this provider signs them."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        match request.url.path:
            case "/realm/.well-known/openid-configuration":
                return httpx.Response(200, json=_metadata())
            case "/realm/keys":
                return httpx.Response(200, json=KeySet([self.key]).as_dict(private=False))
            case "/realm/token":
                return self._token(request)
        return httpx.Response(404)

    def _token(self, request: httpx.Request) -> httpx.Response:
        sent = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return httpx.Response(401, json={"error": "invalid_client"})
        asked = self.codes.pop(sent.get("code", ""), None)  # once, whatever comes of it
        if asked is None or sent.get("redirect_uri") != asked["redirect_uri"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        challenge = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        made = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        if asked.get("code_challenge_method") != "S256" or asked.get("code_challenge") != made:
            return httpx.Response(400, json={"error": "invalid_grant"})
        now = int(self.clock())
        claims = {
            "iss": ISSUER, "aud": self.client_id, "iat": now, "exp": now + 300,
            "nonce": asked.get("nonce", ""), **self.person,
        }  # fmt: skip
        token = self.sign(self, self.spoil(claims))
        return httpx.Response(
            200, json={"access_token": "x", "token_type": "Bearer", "id_token": token}
        )


def query(told: dict[str, str]) -> str:
    """The answer as it stands in the address that the browser opens."""
    return urlencode(told)


def _metadata() -> dict[str, str]:
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/keys",
    }
