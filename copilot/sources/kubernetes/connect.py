"""A live cluster by kubeconfig or by the service account of the pod this runs in."""

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from copilot.ports import Clock, SourceError
from copilot.sources.kubernetes.live import KubernetesApi


def connected(namespace: str, context: str, clock: Clock) -> KubernetesApi:
    """Read-only eyes on one namespace; raises `SourceError` where no credentials are found."""
    return KubernetesApi(api_client(context), namespace, clock)


def api_client(context: str) -> client.ApiClient:
    """A client with the credentials of `context`, or of the pod this runs in where it is empty.

    Raises `SourceError` where no credentials are found.
    """
    settings = client.Configuration()
    try:
        if context:
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


def _here(settings: client.Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException:
        config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
