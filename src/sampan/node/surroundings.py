"""A pod's resolv.conf, hosts file and host name. Pure.

Source: kubelet `pkg/kubelet/network/dns/dns.go`, `pkg/kubelet/kubelet_pods.go` (nodeHostsFileContent, GeneratePodHostNameAndDomain).
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api.core.v1 import Pod
from sampan.node.runtimes.spec import DNSConfig

MOST_SEARCHES, MOST_SERVERS = 32, 3


def parse_resolv_conf(text: str) -> DNSConfig:
    """What a resolv.conf says."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        word, _, rest = line.split("#", 1)[0].strip().partition(" ")
        if word == "nameserver":
            servers.append(rest.strip())
        elif word == "search":
            searches = rest.split()
        elif word == "options":
            options = rest.split()
    return DNSConfig(tuple(servers), tuple(searches), tuple(options))


def dns_config(pod: Pod, *, cluster_dns: Sequence[str], domain: str, host: DNSConfig) -> DNSConfig:
    """The pod's DNS settings by its `dnsPolicy` and `dnsConfig`."""
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    clustered = cluster_dns and (policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.spec.hostNetwork))
    if policy == "None":
        base = DNSConfig()
    elif clustered:
        own = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain)
        base = DNSConfig(tuple(cluster_dns), (*own, *(s for s in host.searches if s not in own)), ("ndots:5",))
    else:
        base = host
    extra = pod.spec.dnsConfig
    if extra is not None:
        options = {option.partition(":")[0]: option for option in base.options}
        for option in extra.options:
            options[option.name] = f"{option.name}:{option.value}" if option.value is not None else option.name
        base = DNSConfig(tuple(dict.fromkeys((*base.servers, *extra.nameservers))),
                         tuple(dict.fromkeys((*base.searches, *extra.searches))), tuple(options.values()))
    return DNSConfig(base.servers[:MOST_SERVERS], base.searches[:MOST_SEARCHES], base.options)


def host_name(pod: Pod) -> str:
    """What `hostname` says in the pod: at most 63 characters, never ending in a dash or dot."""
    return (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")


def fqdn(pod: Pod, domain: str) -> str:
    """The pod's own full name, where it has a subdomain."""
    if not pod.spec.subdomain:
        return ""
    return f"{host_name(pod)}.{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{domain}"


def hosts_file(pod: Pod, ips: Sequence[str], domain: str) -> str:
    """`/etc/hosts` of a pod that is not on the host's network."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    names = "\t".join(name for name in (fqdn(pod, domain), host_name(pod)) if name)
    lines += [f"{ip}\t{names}" for ip in ips]
    if pod.spec.hostAliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join([alias.ip, *alias.hostnames]) for alias in pod.spec.hostAliases]
    return "\n".join(lines) + "\n"
