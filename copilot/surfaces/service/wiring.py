"""By whose word people sign in; the library of a provider loads only where one is set."""

from copilot.settings import Settings, SettingsError
from copilot.surfaces.service.outside import IdentityProvider, OutsideWord, TrustedProxy
from copilot.types.errors import install


def outside_word(settings: Settings) -> OutsideWord | None:
    """By whose word people sign in; raises `SettingsError` for what is half said."""
    if not settings.signs_in_outside:
        return None
    if not settings.group_roles:
        raise SettingsError("nobody would be let in: group_roles says which group has which role")
    provider = _provider(settings) if settings.oidc_issuer else None
    if settings.proxy_user_header and not settings.proxy_addresses:
        raise SettingsError("proxy_user_header counts only from the proxy: set proxy_addresses")
    try:
        proxy = TrustedProxy(
            settings.proxy_addresses, settings.proxy_user_header, settings.proxy_groups_header
        )
    except ValueError as error:
        raise SettingsError(f"proxy_addresses: {error}") from error
    return OutsideWord(settings.group_roles, provider, proxy)


def _provider(settings: Settings) -> IdentityProvider:
    if not (settings.oidc_client_id and settings.public_url):
        raise SettingsError("oidc_issuer needs oidc_client_id, and public_url to come back to")
    try:
        from copilot.surfaces.service.oidc import OpenIdProvider  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"oidc_issuer is set, and its library is not installed: {install('oidc')}"
        ) from error
    secret = settings.oidc_client_secret
    return OpenIdProvider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        secret.get_secret_value() if secret else "",
        f"{settings.public_url.rstrip('/')}/console/sign-in/back",
        scopes=settings.oidc_scopes,
        name_claim=settings.oidc_name_claim,
        groups_claim=settings.oidc_groups_claim,
    )
