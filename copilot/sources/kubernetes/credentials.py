"""Address and credentials of a cluster: of a context of the kubeconfig, or of the pod this runs in.

Importing this module needs the optional extra `kubernetes`.
"""

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from copilot.ports import SourceError
from copilot.settings import SettingsError


def api_client(context: str) -> client.ApiClient:
    """A client with the credentials of `context`; without one of this pod, or the current context.

    Raises `SettingsError` where there is no such context, `SourceError` where no credentials are.
    """
    settings = client.Configuration()
    settings.retries = 1  # a connection that was kept may be gone; a server that is down stays so
    try:
        if context:
            _require(context)
            config.load_kube_config(  # type: ignore[no-untyped-call]
                context=context, client_configuration=settings
            )
        else:
            _here(settings)
    except (ConfigException, OSError) as error:
        raise SourceError("kubernetes", f"no usable credentials: {error}", recoverable=False) from (
            error
        )
    return client.ApiClient(settings)


def _require(context: str) -> None:
    known, _ = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    names = [str(one["name"]) for one in known]
    if context not in names:
        raise SettingsError(
            f"kubernetes_context {context!r} is not in the kubeconfig; it has: "
            f"{', '.join(names) or 'no context'} (KUBECONFIG says which file is read)"
        )


def _here(settings: client.Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException:
        config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
