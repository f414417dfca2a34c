"""What a person should look at first where no playbook is safe to propose."""

from tools.types import FaultKind, Text

_UNLOCATED = Text(
    en="Compare the front door with each service since the onset; see what changed just before.",
    zh="从故障开始时刻起，对比入口与各服务的指标；查看此前不久的变更。",
)

_BY_KIND: dict[FaultKind, Text] = {
    "disk_io": Text(
        en="Look at queue depth and latency of the volume, and at who reads or writes the most.",
        zh="查看磁盘队列深度与延迟，以及读写量最大的进程。",
    ),
    "network_delay": Text(
        en="Measure the round trip from both the caller's and the callee's side; check the links.",
        zh="从两端测量调用方与被调用方之间的往返时延；检查节点链路。",
    ),
    "lock_contention": Text(
        en="List the waiting sessions and the one that blocks them; ask its owner first.",
        zh="列出等待的会话及阻塞者；终止之前先联系其负责人。",
    ),
    "queue_backlog": Text(
        en="Compare the rates in and out of the queue; look at the consumers' errors and count.",
        zh="对比队列的入队与出队速率；查看消费者的错误与数量。",
    ),
    "dns_failure": Text(
        en="Resolve the name from an affected instance; look at the resolver's load and changes.",
        zh="在受影响的实例上解析该域名；查看解析器的负载与变更。",
    ),
    "clock_skew": Text(
        en="Compare the instances' clocks with the time source; look at the time service.",
        zh="将实例时钟与时间源对比；检查时间同步服务状态。",
    ),
    "noisy_neighbour": Text(
        en="Look at which other workload on the node took the resource, and at its limits.",
        zh="查看同一节点上占用资源的其他负载及其限制。",
    ),
    "admission": Text(
        en="Read the refusal in the events (quota, policy, webhook); compare the last manifest.",
        zh="阅读事件中的拒绝原因：配额、策略或 webhook；与上一个正常清单对比。",
    ),
    "scheduling": Text(
        en="Read why no node fits: requests, taints, affinity, or a volume in another zone.",
        zh="查看没有节点可用的原因：资源请求、污点、亲和性或其他可用区的卷。",
    ),
    "startup": Text(
        en="Read the container's state: image name, pull secret, missing key, volume permission.",
        zh="查看容器状态：镜像名、拉取密钥、缺失的键、卷权限。",
    ),
    "routing": Text(
        en="Compare the service's selector and ports with the pods'; look for empty endpoints.",
        zh="对比 Service 的选择器与端口和 Pod 的是否一致；检查端点是否为空。",
    ),
    "certificate_expired": Text(
        en="Read the certificate the peer presents, its dates and its issuer, and who renews it.",
        zh="查看对端出示的证书、有效期与颁发者，以及负责续期的人。",
    ),
}


def what_to_check(kind: FaultKind | None) -> Text:
    """Return what a person should look at first for this fault kind; None: no cause is located."""
    return _UNLOCATED if kind is None else _BY_KIND.get(kind, _UNLOCATED)
