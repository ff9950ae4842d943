"""`sampan server`: the API server alone, in the foreground."""

from __future__ import annotations

import argparse
from pathlib import Path

from sampan.cli import credentialflags, securityflags


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the store, the keys and admin.kubeconfig")
    parser.add_argument("--port", type=int, default=6443, metavar="P", help="port of the API (default 6443)")
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--store", default="sqlite", metavar="STORE", help="sqlite (default), memory or etcd://HOST:PORT[,HOST:PORT]")
    parser.add_argument("--etcd-cafile", type=Path, metavar="FILE", help="authority of etcd's certificate")
    parser.add_argument("--etcd-certfile", type=Path, metavar="FILE", help="our certificate for etcd")
    parser.add_argument("--etcd-keyfile", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help='lines of token,user,uid,"group1,group2"')
    parser.add_argument("--advertise", default="", metavar="ADDRESS", help="address that the Service `kubernetes` leads to")
    securityflags.add(parser)
    credentialflags.add(parser)
    parser.add_argument("--max-requests-inflight", type=int, default=400, metavar="N",
                        help="with the next, how many requests are worked on at a time (default 400)")
    parser.add_argument("--max-mutating-requests-inflight", type=int, default=200, metavar="N",
                        help="without priority and fairness: bounds writes, the other reads (default 200)")
    parser.add_argument("--enable-priority-and-fairness", default="true", choices=("true", "false"), nargs="?", const="true",
                        help="let requests wait by priority levels and flow schemas (default true)")
    parser.add_argument("--enable-aggregator-routing", default="false", choices=("true", "false"), nargs="?", const="true",
                        help="reach API servers behind Services at an endpoint, not at the Service's address (default false)")
    parser.add_argument("--front-proxy", default="true", choices=("true", "false"), nargs="?", const="true",
                        help="prove who we are to API servers behind Services, and tell in kube-system how (default true)")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from sampan.apiserver.flowcontrol.inflight import flow_settings
    from sampan.cluster.server import EtcdFiles, ServerConfig, serve

    return serve(ServerConfig(
        data=arguments.data, port=arguments.port, bind=arguments.bind, store=arguments.store, token_file=arguments.token_file,
        advertise=arguments.advertise, log_level=arguments.log_level,
        etcd=EtcdFiles(arguments.etcd_cafile, arguments.etcd_certfile, arguments.etcd_keyfile),
        front_proxy=arguments.front_proxy == "true", aggregator_routing=arguments.enable_aggregator_routing == "true",
        security=securityflags.read(arguments), credentials=credentialflags.read(arguments),
        flow=flow_settings(fair=arguments.enable_priority_and_fairness == "true", reads=arguments.max_requests_inflight,
                           writes=arguments.max_mutating_requests_inflight)))
