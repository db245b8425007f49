"""Which executor runs which type of action."""

from __future__ import annotations

from collections.abc import Mapping

from app.models.actions import ActionType
from app.runtime.workers import Workers
from controller.actions.base import Executor
from controller.actions.clusternet import GLOBALIZATION, HELM_CHART, LOCALIZATION, SUBSCRIPTION, ClusternetExecutor
from controller.actions.http import HttpExecutor
from controller.actions.job import JobExecutor
from controller.actions.resource import ResourceExecutor


def build_registry(workers: Workers | None = None) -> Mapping[ActionType, Executor]:
    """Return an executor for every type; they hold no state of their own. `workers` read what takes long."""
    return {
        ActionType.HTTP: HttpExecutor(),
        ActionType.JOB: JobExecutor(),
        ActionType.LOCALIZATION: ClusternetExecutor(LOCALIZATION),
        ActionType.GLOBALIZATION: ClusternetExecutor(GLOBALIZATION),
        ActionType.HELM_CHART: ClusternetExecutor(HELM_CHART),
        ActionType.SUBSCRIPTION: ClusternetExecutor(SUBSCRIPTION),
        ActionType.KUBERNETES_RESOURCE: ResourceExecutor(workers),
    }
