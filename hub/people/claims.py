"""What an ID token must say: whose it is, for whom, until when; and what its claims make of somebody here."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

from hub.errors import SignInError
from hub.people.roles import NAME, Account, account_of, groups_of

LEEWAY_S = 60  # by which two clocks may differ
MOST_CHARS = 64 * 1024  # of a token
EMAIL, VERIFIED = "email", "email_verified"
CLOCKS = "The clocks of this hub and of the provider may differ: whoever runs them has to set them. Then sign in again."


class LoginError(SignInError):
    title, code = "You could not be signed in", "sign_in_failed"


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, before anything of it is believed. Raises LoginError."""
    try:
        head = token[:4096].split(".")[0]
        value = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or len(token) > MOST_CHARS or token.count(".") != 2:
        raise LoginError("What the provider sent is no ID token. Its scopes must have openid (--oidc-scopes).")
    return value


def checked(
    claims: Mapping[str, Any], issuer: str, client_id: str, nonce: str | None, now: float
) -> dict[str, Any]:  # fmt: skip
    """The claims, once they are known to be for this hub and of now. Raises LoginError that says what is wrong."""
    from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
    from joserfc.jwt import JWTClaimsRegistry

    if claims.get("iss") != issuer:
        raise LoginError(
            "The ID token was issued by {given!r}, not by {issuer}.", given=str(claims.get("iss"))[:200], issuer=issuer
        )
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    meant = claims.get("azp", client_id if len(audiences) == 1 else None)
    if client_id not in audiences or meant != client_id:
        raise LoginError("The ID token is for another program than this hub. Check --oidc-client-id.")
    if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise LoginError("The ID token is of another sign-in than this browser's. Sign in again.")
    needed: Any = {name: {"essential": True} for name in ("exp", "iat", "sub")}
    try:
        JWTClaimsRegistry(now=int(now), leeway=LEEWAY_S, **needed).validate(dict(claims))
    except ExpiredTokenError:
        raise LoginError("The ID token was over when it came. {clocks}", clocks=CLOCKS) from None
    except (JoseError, TypeError, ValueError) as error:
        if isinstance(error, InvalidClaimError) and _is_later(claims.get(error.claim), now):
            raise LoginError("The ID token is of a time that has not come yet. {clocks}", clocks=CLOCKS) from None
        raise LoginError("The ID token is not whole: {reason}.", reason=str(error)[:200]) from None
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise LoginError("The ID token names nobody (sub).")
    return dict(claims)


def _is_later(when: object, now: float) -> bool:
    return isinstance(when, int | float) and when > now


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by its path: realm_access.roles. Names may have dots themselves."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def account_from(
    claims: Mapping[str, Any], name_claim: str, groups_claim: str, domains: tuple[str, ...], roles: Mapping[str, str]
) -> Account:
    """Who somebody is here. Raises LoginError for who has no name or a wrong domain, RoleError for who has no role."""
    email, is_verified = claims.get(EMAIL), claims.get(VERIFIED) in (True, "true")
    if domains and not (is_verified and isinstance(email, str) and email.lower().rpartition("@")[2] in domains):
        listed = ", ".join(domains)
        raise LoginError("Only people with a confirmed e-mail address of {domains} may come in.", domains=listed)
    name = claim_of(claims, name_claim)
    if name_claim == EMAIL and not is_verified:
        raise LoginError("The provider has not confirmed your e-mail address, by which this hub knows people.")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise LoginError(
            "The provider tells no name of you that this hub takes (its claim {name}; there is: {listed}).",
            name=name_claim, listed=", ".join(sorted(map(str, claims)))[:300],
        )  # fmt: skip
    groups = claim_of(claims, groups_claim)
    those = groups if isinstance(groups, list) else [groups] if isinstance(groups, str) else []
    return account_of(name, groups_of(one for one in those if isinstance(one, str)), roles)
