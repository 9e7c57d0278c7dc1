"""The files of deploy/ fit the hub and the programs that read them, as far as those are installed."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hub.errors import HubError
from hub.hub import Hub
from hub.people.limits import LimitError
from tests.fakes import Calls, counting_demo
from tests.served import ROOT, serving

DEPLOY = ROOT / "deploy"
ALERTS, DASHBOARD = DEPLOY / "prometheus" / "alerts.yml", DEPLOY / "grafana" / "demo-hub.json"
KUBERNETES = DEPLOY / "kubernetes"
KUBERNETES_VERSION = "1.34"


def tool(name: str, package: str) -> str:
    """Where a program is; the test is skipped where it is nowhere."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed ({package})")
    return found


# --- Prometheus and Grafana -----------------------------------------------------------------------


def expressions() -> list[str]:
    """Every query of the alerts and of the dashboard."""
    rules = [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    board = json.loads(DASHBOARD.read_text())
    targets = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [*rules, *targets, *(one["definition"] for one in board["templating"]["list"] if "definition" in one)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names that /metrics tells, each with its labels."""
    from hub.settings import Settings
    from tests.fakes import registry_of

    data = str(tmp_path_factory.mktemp("data"))
    hub = Hub(Settings(data=data, device="cpu", dtype="float32"), registry_of(doubler=counting_demo(Calls())))
    for number in (1, 1, 2_000_000):
        try:
            hub.engine.run("doubler", {"number": number, "seed": 1})
        except HubError:
            continue
    hub.metrics.run_lost("doubler")
    families = text_string_to_metric_families(hub.metrics.render().decode())
    names: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        names.setdefault(sample.name, set()).update(sample.labels)
    hub.close()
    return names


def test_every_name_and_label_that_is_asked_for_is_told(told: dict[str, set[str]]) -> None:
    asked = {name for text in expressions() for name in re.findall(r"\bhub_[a-z_]+\b", text)}
    assert len(asked) > 12 and asked - told.keys() == set()
    known = {"instance", "job", "demo", *(label for labels in told.values() for label in labels)}
    for text in expressions():
        for name, chosen in re.findall(r"\b(hub_[a-z_]+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", chosen))
            assert labels <= told[name] | {"instance", "job"}, f"{name}: {labels}"
        for group in re.findall(r"\bby \(([^)]*)\)", text):
            assert {label.strip() for label in group.split(",")} <= known, text


def test_what_is_told_is_shown_somewhere(told: dict[str, set[str]]) -> None:
    shown = "\n".join(expressions())
    bases = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in told}
    assert {base for base in bases if base not in shown} == set()


def test_error_codes_and_outcomes_of_alerts_are_those_of_the_hub() -> None:
    def below(kind: type[HubError]) -> Iterator[type[HubError]]:
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    codes = {kind.code for kind in below(HubError)} | {LimitError.code}
    asked = {c for text in expressions() for found in re.findall(r'code=~?"([^"]+)"', text) for c in found.split("|")}
    assert len(asked) > 5 and asked <= codes


def test_alerts_say_what_happened_and_what_to_do() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"] and len(rule["annotations"]["description"]) > 40


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    promtool = tool("promtool", "apt-get install prometheus")
    for words in (("rules", str(ALERTS)), ("config", str(DEPLOY / "prometheus" / "prometheus.yml"))):
        done = subprocess.run([promtool, "check", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    board = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


# --- proxies --------------------------------------------------------------------------------------


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    nginx = tool("nginx", "apt-get install nginx-light")
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/nginx.pid; error_log stderr; events {{}} http {{ access_log off; "
        f"include {DEPLOY}/nginx/*.conf; }}"
    )
    done = subprocess.run([nginx, "-t", "-p", str(tmp_path), "-c", str(main)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_proxies_take_away_every_header_that_the_hub_may_believe() -> None:
    for path in (DEPLOY / "nginx" / "demo-hub.conf", DEPLOY / "traefik" / "demo-hub.yml"):
        text = path.read_text()
        for header in ("X-Forwarded-User", "X-Forwarded-Groups", "Remote-User", "Remote-Groups"):
            assert re.search(rf'{header}:? ""', text), f"{path.name}: {header}"
    routers = yaml.safe_load((DEPLOY / "traefik" / "demo-hub.yml").read_text())["http"]
    for router in routers["routers"].values():
        assert router["service"] in routers["services"] and set(router["middlewares"]) <= routers["middlewares"].keys()


# --- Kubernetes -----------------------------------------------------------------------------------


def documents(folder: Path) -> list[dict[str, Any]]:
    """What kubectl makes of a folder."""
    kubectl = tool("kubectl", "Google's package, or a cluster's own")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every pod that a document describes."""
    spec = document["spec"]
    if document["kind"] == "Deployment":
        return [spec["template"]["spec"]]
    if document["kind"] == "RayCluster":
        return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    return []


@pytest.mark.parametrize("name", ["base", "gpu", "ray"])
def test_manifests_are_what_kubernetes_takes(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    found = documents(KUBERNETES / name)
    assert {"Deployment", "Service", "Ingress", "PersistentVolumeClaim"} <= {one["kind"] for one in found}
    for document in found:
        if document["kind"] == "RayCluster":  # KubeRay's own: its pods are looked at as such
            for spec in pods(document):
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
                validate.validate(pod, KUBERNETES_VERSION, strict=True)
        else:
            validate.validate(document, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("name", ["base", "gpu", "ray"])
def test_no_pod_may_do_more_than_it_must(name: str) -> None:
    for document in documents(KUBERNETES / name):
        for pod in pods(document):
            assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert "memory" in container["resources"]["limits"]
                volumes, mounted = ({v["name"] for v in x} for x in (pod["volumes"], container["volumeMounts"]))
                assert mounted <= volumes


def test_pods_are_asked_where_the_hub_answers_and_set_what_it_knows() -> None:
    from hub.settings import TABLE

    known = {f"HUB_{name.upper()}" for name, _, _ in TABLE}
    (pod,) = [pod for one in documents(KUBERNETES / "gpu") for pod in pods(one)]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1 and container["image"] == "demo-hub:cuda"
    named = {one["name"] for one in container["env"] if one["name"].startswith("HUB_")}
    assert "HUB_DEVICE" in named and named <= known


# --- the image ------------------------------------------------------------------------------------


def in_the_image() -> list[Path]:
    """The files that .dockerignore lets in, of those that git knows."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("this is no clone: what would be copied cannot be told")
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    def is_kept(name: str) -> bool:
        kept = True
        for line in lines:
            pattern = line.removeprefix("!").removeprefix("**/")
            parts = [name, *(str(parent) for parent in Path(name).parents)]
            at_any_depth = line.startswith("**/")
            if any(matches(part, pattern, at_any_depth) for part in parts):
                kept = line.startswith("!")
        return kept

    return [ROOT / name for name in tracked.stdout.split("\0") if name and is_kept(name) and (ROOT / name).is_file()]


def matches(name: str, pattern: str, at_any_depth: bool) -> bool:
    """As Docker does it: * is no slash, ** is."""
    if at_any_depth:
        return fnmatch.fnmatchcase(Path(name).name, pattern)
    expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(expression, name) is not None


@pytest.mark.release
def test_the_image_holds_all_that_the_hub_needs_and_nothing_it_need_not(tmp_path: Path) -> None:
    app, data = tmp_path / "app", tmp_path / "data"
    for path in in_the_image():
        copy = app / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy) if path.stat().st_dev == tmp_path.stat().st_dev else shutil.copyfile(path, copy)
    assert not {"tests", "bench", "docs", "deploy", "Makefile"} & {path.name for path in app.iterdir()}
    photo = ROOT / "demos" / "assets" / "vehicle_classifier" / "ambulance.jpg"
    with serving(data, folder=app) as served, httpx.Client(base_url=served.url, timeout=120) as client:
        assert client.get("/readyz").json()["demos"] == {}, "every page can answer"
        answer = client.post("/api/v1/demos/vehicle_classifier", files={"image": photo.read_bytes()})
        assert answer.status_code == 200
        assert client.get("/").status_code == client.get("/streamlit/").status_code == 200
