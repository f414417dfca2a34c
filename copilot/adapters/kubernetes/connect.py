"""A live cluster by kubeconfig or by the service account of the pod this runs in."""

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from copilot.adapters.kubernetes.live import KubernetesApi
from copilot.adapters.runners.kubernetes_client import KubernetesCluster
from copilot.ports import Clock, SourceError


def connected(namespace: str, context: str, clock: Clock) -> KubernetesApi:
    """Read-only eyes on one namespace; raises `SourceError` where no credentials are found."""
    return KubernetesApi(_client(context), namespace, clock)


def acting(namespace: str, context: str) -> KubernetesCluster:
    """Hands on one namespace, by credentials of their own where `context` names them."""
    return KubernetesCluster(_client(context), namespace)


def _client(context: str) -> client.ApiClient:
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
