"""Ray and Ray Serve for one hub: started or found, the replicas deployed, all of it ended and cleaned up."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from hub.cluster.listeners import LISTENERS
from hub.errors import InputError, UnavailableError, brief
from hub.execution.messages import Begin
from hub.execution.workers import HUNG_S, MOST_WORKERS, available_cores
from hub.settings import OF_DOORS, OFFLINE_SWITCHES, Settings

log = logging.getLogger(__name__)
CODE = Path(__file__).resolve().parents[2]  # what `hub` is imported from
START_S = 180.0  # until the first replica is there: on a cluster a machine may have to be started for it
HEALTH_S, HEALTH_PATIENCE_S = 2.0, 30.0  # how often Serve looks after a replica, and how long it may take to answer
UPSCALE_S, DOWNSCALE_S = 5.0, 120.0  # of more or less work, until there are more or fewer replicas
SHUTDOWN_S, REACH_S = 10.0, 10.0
OBJECTS_BYTES = 512 * 2**20  # what travels between processes of this machine; more of it goes to the disk
FOLDER = "hub-ray-"
# A Unix socket's address has at most 107 bytes; Ray's are in session_<date>_<pid>/sockets/plasma_store of its folder.
FOLDER_CHARS = 107 - len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
DEPLOYMENT = "models"
# Calls go straight to a replica, with the token and the certificates that Ray has, in half the time that Ray's own
# need to keep what they carry for others.
TRANSPORT = ("RAY_SERVE_USE_GRPC_BY_DEFAULT", "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH")
CALLS = 100  # at once to one replica: of each hub one that lasts, and one that says what it wants
MESSAGE_BYTES = 2**31 - 1  # what a call may carry: Serve's own 4 MB are less than one photo, and no more can be set


@dataclass(frozen=True, slots=True)
class Plan:
    """How many replicas, and what each has."""

    least: int
    most: int
    cpus: float
    gpus: float
    share: int  # replicas that have the memory of one machine, or of one GPU


def check_installed() -> None:
    """Raises InputError that says what to install."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "--executor ray needs Ray, which is not installed here: make setup-ray (in a clone), or "
            "pip install 'demo-hub[ray]'"
        )


def check(settings: Settings) -> None:
    """Raises InputError for settings that do not go together."""
    check_installed()
    if len(settings.devices) > 1:
        raise InputError(
            "--executor ray places models itself: --ray-gpus says how much of a GPU each replica has; --device may be "
            "cuda or cpu, got {device!r}.",
            device=settings.device,
        )
    least, most = wanted(settings.ray_replicas)
    if least > most:
        raise InputError("--ray-replicas: the least comes first, as in 1-8, got {text!r}.", text=settings.ray_replicas)


class Session:
    """Ray as one hub uses it. `handle` is Serve's to the replicas; `on_members` is told their names as they change."""

    def __init__(self, settings: Settings, outputs_bytes: int, on_members: Callable[[frozenset[str]], None]):
        """Raises HubError."""
        check(settings)
        self._is_local = settings.ray_address == "local"
        self._name = app_name(settings)
        self._folder: Path | None = None
        self._connected = False
        prepare_environment(is_local=self._is_local)
        try:
            self._connect(settings)
            self.plan = plan(settings, self._resources(), is_local=self._is_local)
            self.handle = self._deploy(settings, outputs_bytes, on_members)
        except BaseException as error:
            self.close()
            if isinstance(error, Exception) and not isinstance(error, InputError | UnavailableError):
                text = "Ray could not be started: {reason}. The hub's log has the details."
                raise UnavailableError(text, reason=brief(error)) from error
            raise

    def _connect(self, settings: Settings) -> None:
        import ray

        if ray.is_initialized():
            raise UnavailableError("This process uses Ray already; a hub needs a process of its own.")
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(CODE), os.environ.get("PYTHONPATH", "")))),
            # In a process that has threads already, hub/memory.py comes too late for this one.
            "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "1"),
            **{name: os.environ[name] for name in TRANSPORT},
            **{name: "1" for name in OFFLINE_SWITCHES if settings.offline},
            **{name: "" for name in OF_DOORS if name in os.environ},  # a local Ray inherits what this process has
        }
        common: dict[str, Any] = {
            "namespace": "demo-hub",
            "logging_level": logging.WARNING,
            "runtime_env": {"env_vars": environment},
        }
        if not self._is_local:
            try:
                reach(settings.ray_address)
                ray.init(address=settings.ray_address, **common)
            except (OSError, RuntimeError, ValueError) as error:
                raise UnavailableError(
                    "No Ray cluster answers this hub at {address}: {reason}. Start one (ray start --head), give the "
                    "hub its token (RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH) where it asks for one, or leave "
                    "--ray-address away.",
                    address=settings.ray_address,
                    reason=brief(error),
                ) from error
            self._connected = True
            return
        self._folder = own_folder()
        common["runtime_env"]["worker_process_setup_hook"] = "hub.cluster.loopback.listen_here_alone"
        _, most = wanted(settings.ray_replicas)
        ray.init(
            address="local",
            include_dashboard=False,
            num_cpus=max(available_cores(), int(most * settings.ray_cpus + 0.999)),
            object_store_memory=OBJECTS_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(self._folder),
            **common,
        )
        self._connected = True

    def _resources(self) -> dict[str, float]:
        import ray

        return dict(ray.cluster_resources())

    def _deploy(self, settings: Settings, outputs_bytes: int, on_members: Callable[[frozenset[str]], None]) -> Any:
        from ray import serve
        from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig
        from ray.serve.schema import LoggingConfig

        from hub.cluster import router, scaling
        from hub.cluster.replica import Replica

        LISTENERS[self._name] = on_members
        logs = LoggingConfig(log_level="WARNING", enable_access_log=False)
        serve.start(proxy_location="Disabled", logging_config=logs)
        plan = self.plan
        size: dict[str, Any] = {"num_replicas": plan.least}
        if plan.most > plan.least:
            size = {
                "autoscaling_config": AutoscalingConfig(
                    min_replicas=plan.least,
                    max_replicas=plan.most,
                    target_ongoing_requests=max(1, settings.max_batch // 2),
                    policy=AutoscalingPolicy(policy_function=scaling.by_runs),
                    upscale_delay_s=UPSCALE_S,
                    downscale_delay_s=DOWNSCALE_S,
                )
            }
        deployment = serve.deployment(
            Replica,
            name=DEPLOYMENT,
            max_ongoing_requests=CALLS,
            ray_actor_options={"num_cpus": plan.cpus, "num_gpus": plan.gpus},
            health_check_period_s=HEALTH_S,
            health_check_timeout_s=HEALTH_PATIENCE_S,
            graceful_shutdown_timeout_s=settings.deadline_s,
            graceful_shutdown_wait_loop_s=0.5,
            request_router_config=RequestRouterConfig(request_router_class=router.Named),
            logging_config=logs,
            **size,
        )
        begin = Begin(models_settings(settings, plan), plan.share, outputs_bytes // plan.share, HUNG_S)
        target = serve.RunTarget(deployment.bind(begin, str(Path.cwd())), name=self._name, route_prefix=None)
        (handle,) = serve.run_many([target], wait_for_applications_running=False)
        return handle

    def trouble(self) -> str:
        """Why no replica can be started; empty: nothing is known against it."""
        from ray import serve

        app = serve.status().applications.get(self._name)
        if app is None or app.status != "DEPLOY_FAILED":
            return ""
        return " ".join([app.message, *(one.message for one in app.deployments.values())]).strip()[:500] or "unknown"

    def close(self) -> None:
        """Ends the replicas, and Ray where it is the hub's own, with all that it kept on disk."""
        import ray
        from ray import serve

        LISTENERS.pop(self._name, None)
        if self._connected:
            try:
                if self._is_local:
                    serve.shutdown()
                else:
                    serve.delete(self._name, _blocking=False)
            except Exception as error:  # whatever ends first: all of it has to end
                log.warning("Ray Serve did not end well: %s", brief(error))
            ray.shutdown()
            self._connected = False
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def reach(address: str) -> None:
    """Raises OSError where nobody listens at `host:port`: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()


def wanted(text: str) -> tuple[int, int]:
    """The least and the most replicas that a setting asks for; 0: as many as there is room for."""
    if text == "auto":
        return 0, 0
    least, _, most = text.partition("-")
    return int(least), int(most or least)


def plan(settings: Settings, resources: dict[str, float], *, is_local: bool) -> Plan:
    """What is deployed on a cluster with these resources. Raises InputError for what it can never have room for."""
    cpus, gpus = settings.ray_cpus, 0.0
    if settings.ray_gpus != "auto":
        gpus = float(settings.ray_gpus)
    elif settings.device != "cpu" and resources.get("GPU", 0.0) >= 1:
        gpus = 1.0
    if is_local and gpus > resources.get("GPU", 0.0):
        text = "--ray-gpus {gpus:g}: this machine has {here:g}."
        raise InputError(text, gpus=gpus, here=resources.get("GPU", 0.0))
    least, most = wanted(settings.ray_replicas)
    if not most:
        room = int(resources.get("CPU", 1.0) / cpus)
        if gpus:
            room = min(room, int(resources.get("GPU", 0.0) / gpus))
        elif is_local:
            room = min(room, MOST_WORKERS)
        least = most = max(1, room)
    return Plan(least, most, cpus, gpus, share(most, cpus, gpus, is_local=is_local))


def share(most: int, cpus: float, gpus: float, *, is_local: bool) -> int:
    """Of how many replicas one has the memory of a machine, or of a GPU, at most."""
    if gpus:
        return min(most, max(1, int(1 / gpus)))
    if is_local:
        return most
    import ray

    cores = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    return min(most, max(1, int(max(cores, default=1.0) / cpus)))


def models_settings(settings: Settings, plan: Plan) -> Settings:
    """What replicas serve with: no secrets, and folders by names that mean the same wherever they run."""
    return replace(
        settings.for_models(),
        device=settings.device if plan.gpus or settings.device != "auto" else "cpu",
        data=str(settings.data_folder),
        demos_folder=str(settings.pages_folder.resolve()),
        weights_folder=str(Path(settings.weights_folder).resolve()) if settings.weights_folder else "",
        hub_folder=str(settings.hub_cache),
    )


def prepare_environment(*, is_local: bool) -> None:
    """What Ray reads when it is imported, and hands on to what it starts: it tells nobody that it is used."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.update(zip(TRANSPORT, ("1", str(MESSAGE_BYTES)), strict=True))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a replica without a GPU is told to use the CPU
    # Other users of this machine could run code in it otherwise. Ray reads this when it is imported, and keeps it.
    if is_local and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        # Else it takes 127.0.0.1 for this machine's other address, and listens on all of them. Read on Linux, too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    elif has_token():  # a cluster that was started where there is one asks for it; Ray shows it only when told to
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def has_token() -> bool:
    """Whether there is a token for clusters, in one of the places where Ray looks."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return (Path(path) if path else Path.home() / ".ray" / "auth_token").is_file()


def app_name(settings: Settings) -> str:
    """The same for the same hub, so that one that was killed finds what it left on a cluster, and takes its place."""
    data = f"{socket.gethostname()}:{settings.data_folder}"
    return "demo-hub-" + hashlib.sha256(data.encode()).hexdigest()[:12]


def own_folder() -> Path:
    """A new folder for what Ray keeps on disk while it runs; what killed hubs left is removed."""
    roots = [root for root in (Path(tempfile.gettempdir()), Path("/tmp")) if root.is_dir()]  # nosec B108
    name = f"{FOLDER}{os.getpid()}-"
    fitting = [root for root in roots if len(f"{root}/{name}12345678") <= FOLDER_CHARS and os.access(root, os.W_OK)]
    if not fitting:
        raise InputError("Ray needs a folder with a short name, such as /tmp, that can be written to.")
    for left in fitting[0].glob(f"{FOLDER}*-*"):
        pid = left.name.removeprefix(FOLDER).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=name, dir=fitting[0]))
