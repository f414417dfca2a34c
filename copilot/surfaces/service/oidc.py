"""Signing in by an OpenID provider: authorization code with PKCE, the id token checked.

Source: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207 for `iss` in the answer.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import JsonValue

from copilot.surfaces.service.outside import OutsidePerson, SignInRefusedError, person_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures by a key that only the provider holds: `none` and HMAC are not among them."""

LEEWAY_S = 60
"""How far its clock may be from ours."""

TIMEOUT_S = 10.0
KEYS_S = 300.0
"""How long its keys and addresses are kept; a key that is not among them is asked for at once."""


class OpenIdProvider:
    """One provider; `transport` is how it is reached."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        *,
        scopes: str = "openid profile email",
        name_claim: str = "preferred_username",
        groups_claim: str = "groups",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer, self._client_id, self._secret = issuer, client_id, client_secret
        self._redirect, self._scopes = redirect_uri, scopes
        self._claims = (name_claim, groups_claim)
        self._transport, self._clock = transport, clock
        self._kept: dict[str, tuple[float, dict[str, JsonValue]]] = {}

    def begin(self) -> tuple[str, dict[str, JsonValue]]:
        """Where the browser goes, and what it must bring back; raises `SignInRefusedError`."""
        kept = {
            "state": secrets.token_urlsafe(32),
            "nonce": secrets.token_urlsafe(32),
            "verifier": secrets.token_urlsafe(48),
        }
        proof = hashlib.sha256(kept["verifier"].encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect,
            "scope": self._scopes,
            "state": kept["state"],
            "nonce": kept["nonce"],
            "code_challenge": base64.urlsafe_b64encode(proof).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        place = self._metadata("authorization_endpoint")
        address = f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"
        return address, {**kept}

    def finish(self, kept: Mapping[str, JsonValue], told: Mapping[str, str]) -> OutsidePerson:
        """Who it is, by the answer that the browser brought; raises `SignInRefusedError`."""
        if not secrets.compare_digest(told.get("state", "").encode(), str(kept["state"]).encode()):
            raise SignInRefusedError("this is not the answer to the sign-in of this browser")
        if told.get("iss", self.issuer) != self.issuer:
            raise SignInRefusedError("another provider answered than the one that was asked")
        if "error" in told or "code" not in told:
            raise SignInRefusedError(f"the provider says {told.get('error', 'nothing')[:80]!r}")
        answer = self._exchanged(told["code"], str(kept["verifier"]))
        claims = self._checked(str(answer.get("id_token", "")), str(kept["nonce"]))
        return person_of(self.issuer, claims, *self._claims)

    def _exchanged(self, code: str, verifier: str) -> dict[str, JsonValue]:
        """What the provider gives for a code, to who shows what it was asked with."""
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        if not self._secret:
            sent["client_id"] = self._client_id
        # RFC 6749, 2.3.1: both are encoded as a form before they are joined.
        name, secret = quote_plus(self._client_id), quote_plus(self._secret)
        auth = httpx.BasicAuth(name, secret) if self._secret else httpx.USE_CLIENT_DEFAULT
        try:
            with self._client() as client:
                told = client.post(self._metadata("token_endpoint"), data=sent, auth=auth)
                found = told.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise SignInRefusedError(f"the provider does not take the code: {error}") from error
        if not isinstance(found, dict):
            raise SignInRefusedError("the provider answers with what is no document")
        return found

    def _checked(self, token: str, nonce: str) -> dict[str, JsonValue]:
        """The claims of an id token of this provider, for this service and this sign-in."""
        wanted = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                read = jwt.decode(token, self._keys(), list(ALGORITHMS))
            except JoseError:
                self._kept.clear()  # its keys may have changed
                read = jwt.decode(token, self._keys(), list(ALGORITHMS))
            wanted.validate(read.claims)
        except (JoseError, ValueError) as error:
            raise SignInRefusedError(f"the provider's id token is not valid: {error}") from error
        audience = read.claims["aud"]
        party = read.claims.get("azp", self._client_id)
        if party != self._client_id or (isinstance(audience, list) and len(audience) > 1):
            raise SignInRefusedError("the provider's id token is for somebody else, too")
        found: dict[str, JsonValue] = read.claims
        return found

    def _keys(self) -> KeySet:
        keys = self._document(str(self._metadata("jwks_uri")))
        return KeySet.import_key_set(keys)  # type: ignore[arg-type]

    def _metadata(self, name: str) -> str:
        found = self._document(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise SignInRefusedError(
                f"the provider calls itself {found.get('issuer')!r}: set oidc_issuer to that"
            )
        value = found.get(name)
        if not isinstance(value, str):
            raise SignInRefusedError(f"the provider does not say its {name}")
        return value

    def _document(self, address: str) -> dict[str, JsonValue]:
        at, known = self._kept.get(address, (0.0, {}))
        if known and self._clock() - at < KEYS_S:
            return known
        try:
            with self._client() as client:
                found = client.get(address).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise SignInRefusedError(f"the provider does not answer: {error}") from error
        if not isinstance(found, dict):
            raise SignInRefusedError("the provider answers with what is no document")
        self._kept[address] = (self._clock(), found)
        return found

    def _client(self) -> httpx.Client:
        return httpx.Client(transport=self._transport, timeout=TIMEOUT_S)
