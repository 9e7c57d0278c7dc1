"""What Ray starts on one machine listens on that machine alone."""

from __future__ import annotations

from typing import Any


def listen_here_alone() -> None:
    """Called in each process of Ray's before Serve is imported there.

    A replica of Serve opens a port of its own on every address, without a token, and unpickles what is sent to it.
    """
    from ray._common import tls_utils

    add_port = tls_utils.add_port_to_grpc_server

    def add(server: Any, address: str) -> int:
        port: int = add_port(server, address.replace("[::]:", "127.0.0.1:"))
        return port

    tls_utils.add_port_to_grpc_server = add
