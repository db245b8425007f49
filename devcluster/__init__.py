"""A real local Kubernetes control plane for development, the demo and the tests.

etcd and kube-apiserver (profile ``minimal``), plus kube-controller-manager, kube-scheduler and KWOK as the
stand-in for nodes (profile ``full``). Everything listens on loopback, lives under one directory and ends with the
process that started it.
"""

from devcluster.api import RequestError
from devcluster.binaries import BinaryError, ensure, ensure_profile
from devcluster.control_plane import ControlPlane, Profile
from devcluster.identities import Identity
from devcluster.processes import ComponentError, ManagedProcess
from devcluster.services import (
    ServiceProcess,
    WebhookProcess,
    controller_command,
    register_webhooks,
    start_controller,
    start_webhook,
    unregister_webhooks,
)

__all__ = [
    "BinaryError",
    "ComponentError",
    "ControlPlane",
    "Identity",
    "ManagedProcess",
    "Profile",
    "RequestError",
    "ServiceProcess",
    "WebhookProcess",
    "controller_command",
    "ensure",
    "ensure_profile",
    "register_webhooks",
    "start_controller",
    "start_webhook",
    "unregister_webhooks",
]
