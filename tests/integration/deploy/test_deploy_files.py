"""What is under deploy/ passes its own tools' checks, and says the same in all places."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from trapline.models import Calibration, EventPooling
from trapline.serving.lambda_handler import DEADLINE
from trapline.serving.rest import OPEN_PATHS
from trapline.serving.settings import Settings
from trapline.taxonomy import Label, Taxon, Taxonomy

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
OVERLAYS = ["local", "eks"]
CLUSTER_SCOPED = {"Namespace", "IngressClass", "IngressClassParams"}


def run(tool: str, *arguments: object) -> str:
    command = [str(Path(sys.executable).parent / tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("overlay") / f"{request.param}.yaml"
    built.write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes" / "overlays" / request.param))
    return built


@pytest.fixture(scope="module", params=OVERLAYS)
def monitored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay with the component `monitoring`, built."""
    copied = tmp_path_factory.mktemp("monitored") / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", copied)
    folder = copied / "overlays" / request.param
    with (folder / "kustomization.yaml").open("a") as file:
        file.write("components:\n  - ../../components/monitoring\n")
    built = copied / "built.yaml"
    built.write_text(run("kubectl", "kustomize", folder))
    return built


def objects(path: Path) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(path.read_text()) if one}


def stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE.read_text(), re.M | re.S)
    assert found, name
    return found[1]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    run("hadolint", DOCKERFILE)


def test_cfn_lint_finds_nothing_in_the_template() -> None:
    run("cfn-lint", DEPLOY / "lambda" / "template.yaml")


@pytest.mark.parametrize("name", ["server", "gateway"])
def test_compose_reads_its_file_and_every_service_is_hardened(name: str) -> None:
    found = json.loads(
        run("docker-compose", "-f", DEPLOY / "compose" / f"{name}.yaml", "config", "--format=json")
    )
    for service in found["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "trapline.serving.ready"]
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1"


def test_kubernetes_knows_every_field_of_an_overlay(overlay: Path) -> None:
    said = run("kubernetes-validate", "--strict", overlay)
    assert "ERROR" not in said


def test_all_of_an_overlay_that_has_a_namespace_is_in_the_servers(monitored: Path) -> None:
    for kind, one in objects(monitored).items():
        expected = None if kind in CLUSTER_SCOPED else "trapline"
        assert one["metadata"].get("namespace") == expected, kind


@pytest.mark.parametrize("monitored", ["eks"], indirect=True)
def test_the_ingress_leads_to_a_service_and_a_port_that_there_are(monitored: Path) -> None:
    found = objects(monitored)
    service, ingress = found["Service"], found["Ingress"]
    assert ingress["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert ingress["spec"]["ingressClassName"] == found["IngressClass"]["metadata"]["name"]
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend["name"] == service["metadata"]["name"]
            assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_load_balancer_of_eks_speaks_https_alone_with_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "eks.yaml").write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes/overlays/eks"))
    found = objects(tmp_path / "eks.yaml")
    (certificate,) = found["IngressClassParams"]["spec"]["certificateARNs"]
    assert certificate.startswith("arn:aws:acm:")
    annotations = found["Ingress"]["metadata"]["annotations"]
    assert json.loads(annotations["alb.ingress.kubernetes.io/listen-ports"]) == [{"HTTPS": 443}]
    for kind, one in found.items():  # what has the server's label is put there first, and opens nothing
        labelled = one["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "trapline"
        assert labelled != kind.startswith("Ingress"), kind
    assert found["Service"]["spec"].get("type", "ClusterIP") == "ClusterIP"


@pytest.mark.parametrize("name", ["eks", "kserve"])
def test_no_pod_that_others_reach_starts_without_a_token(name: str) -> None:
    if name == "eks":
        built = yaml.safe_load_all(run("kubectl", "kustomize", DEPLOY / "kubernetes/overlays/eks"))
        pod = next(one for one in built if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    else:
        file = DEPLOY / "kubernetes/kserve/inference-service.yaml"
        pod = yaml.safe_load(file.read_text())["spec"]["predictor"]
    (container,) = pod["containers"]
    (token,) = [one for one in container["env"] if one["name"] == "TRAPLINE_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"] == {"name": "trapline-token", "key": "token"}


def test_the_walk_to_eks_never_shows_an_open_server() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    walk = page[page.index("### On EKS") :]
    walk = walk[: walk.index("\n### ", 1)]
    steps = [
        "create cluster",
        "kubectl apply -f deploy/kubernetes/base/namespace.yaml",
        "create secret generic trapline-token",
        "aws acm request-certificate",
        "aws acm wait certificate-validated",
        'sed "$REPLACED" deploy/kubernetes/overlays/eks/kustomization.yaml',
        "kubectl apply -k deploy/kubernetes/overlays/eks -l app.kubernetes.io/name=trapline\n",
        "rollout status",
        "kubectl apply -k deploy/kubernetes/overlays/eks\n",
        "curl",
    ]
    places = [walk.index(step) for step in steps]
    assert places == sorted(places)
    asked = re.findall(r"^curl .*", walk, re.M)
    assert asked
    for line in asked:
        assert '-H "authorization: Bearer $TOKEN"' in line
        assert '"https://' in line
    assert "http://" not in walk


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Component → kind → object, of the overlay with two tiers."""
    built = tmp_path_factory.mktemp("tiers") / "built.yaml"
    built.write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes/overlays/two-tiers"))
    assert "ERROR" not in run("kubernetes-validate", "--strict", built)
    found: dict[str, dict[str, Any]] = {}
    for one in yaml.safe_load_all(built.read_text()):
        assert one["metadata"].get("namespace") == (None if one["kind"] == "Namespace" else "trapline")
        component = one["metadata"]["labels"].get("app.kubernetes.io/component", "")
        assert one["kind"] not in found.setdefault(component, {})
        found[component][one["kind"]] = one
    return found


def test_each_of_the_two_tiers_is_as_the_one_server_is(
    tiers: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "base.yaml").write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes/base"))
    base = objects(tmp_path / "base.yaml")
    assert set(tiers) == {"", "gateway", "model-server"}
    assert set(tiers[""]) == {"Namespace"}
    for name in ("gateway", "model-server"):
        assert set(tiers[name]) == base.keys() - {"Namespace"}
        template, plain = (one["Deployment"]["spec"]["template"] for one in (tiers[name], base))
        labels = template["metadata"]["labels"].items()
        assert labels >= {"app.kubernetes.io/component": name, "app.kubernetes.io/name": "trapline"}.items()
        assert template["spec"]["securityContext"] == plain["spec"]["securityContext"]
        (container,), (other,) = template["spec"]["containers"], plain["spec"]["containers"]
        for same in ("securityContext", "resources", "readinessProbe", "livenessProbe", "volumeMounts"):
            assert container[same] == other[same]
        assert container["image"] == "localhost/species-model:latest"
        for kind, field in (
            ("Deployment", "selector"),
            ("PodDisruptionBudget", "selector"),
            ("NetworkPolicy", "podSelector"),
        ):
            chosen = tiers[name][kind]["spec"][field]["matchLabels"]
            assert chosen == {"app.kubernetes.io/component": name, "app.kubernetes.io/name": "trapline"}
        assert tiers[name]["Service"]["spec"]["selector"].items() <= labels
        scaled = tiers[name]["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
        assert scaled == tiers[name]["Deployment"]["metadata"]["name"] == f"trapline-{name}"


def test_the_gateway_asks_the_model_servers_pods_by_their_service(tiers: dict[str, dict[str, Any]]) -> None:
    behind, front = tiers["model-server"], tiers["gateway"]
    (port,) = behind["Service"]["spec"]["ports"]
    assert behind["Service"]["spec"]["clusterIP"] == "None"  # the name stands for every pod
    arguments = container_of(front)["args"]
    backend = arguments[arguments.index("--backend") + 1]
    assert backend == f"grpc://{behind['Service']['metadata']['name']}:{port['port']}"
    ports = {one["name"]: one["containerPort"] for one in container_of(behind)["ports"]}
    assert ports[port["targetPort"]] == port["port"] == Settings({"m": Path("m")}).grpc_port
    assert "--no-grpc" in arguments
    assert [one["name"] for one in container_of(front)["ports"]] == ["http"]
    assert [one["targetPort"] for one in front["Service"]["spec"]["ports"]] == ["http"]
    assert arguments[0] == container_of(behind)["args"][0]
    secret = {"name": "trapline-token", "key": "token", "optional": True}
    shown = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container_of(front)["env"]}
    assert shown == {"TRAPLINE_TOKEN": secret, "TRAPLINE_BACKEND_TOKEN": secret}
    asked = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container_of(behind)["env"]}
    assert asked == {"TRAPLINE_TOKEN": secret}
    # A gateway that waits for its model server is not started again.
    assert container_of(front)["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert container_of(front)["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def container_of(tier: dict[str, Any]) -> Any:
    (container,) = tier["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


def test_only_the_gateway_may_ask_the_model_server(tiers: dict[str, dict[str, Any]]) -> None:
    def peers(name: str, way: str, side: str) -> list[Any]:
        return [rule.get(side) for rule in tiers[name]["NetworkPolicy"]["spec"][way]]

    def pods(name: str) -> list[Any]:
        chosen = {"app.kubernetes.io/component": name, "app.kubernetes.io/name": "trapline"}
        return [{"podSelector": {"matchLabels": chosen}}]

    assert peers("model-server", "ingress", "from") == [pods("gateway")]
    assert peers("model-server", "egress", "to") == []
    assert peers("gateway", "ingress", "from") == [None]  # all of the cluster
    assert peers("gateway", "egress", "to") == [pods("model-server"), None]
    (_, names) = tiers["gateway"]["NetworkPolicy"]["spec"]["egress"]
    assert {one["port"] for one in names["ports"]} == {53}


def test_tensorflow_serving_is_pinned_wherever_it_is_named() -> None:
    files = [file for file in DEPLOY.rglob("*") if file.is_file()]
    files += [*(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "README.md"]
    named = {file: re.findall(r"(?<![/\w.])tensorflow/serving(?!/)(\S*)", file.read_text()) for file in files}
    assert sum(map(len, named.values())) >= 3
    for file, pins in named.items():
        for pin in pins:
            assert re.match(r":\d+\.\d+\.\d+(?![.\d])", pin), (file, pin)


def test_monitoring_finds_the_service_by_its_label_and_port(monitored: Path) -> None:
    found = objects(monitored)
    service, monitor = found["Service"], found["ServiceMonitor"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_pods_of_an_overlay_are_hardened_and_chosen_by_their_labels(overlay: Path) -> None:
    found = objects(overlay)
    template = found["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert template["spec"]["securityContext"]["runAsNonRoot"]
    assert not template["spec"]["automountServiceAccountToken"]
    assert found["Service"]["spec"]["selector"].items() <= labels
    for kind, field in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        chosen = found[kind]["spec"][field]["matchLabels"]
        assert chosen
        assert chosen.items() <= labels


def test_kubernetes_knows_every_field_of_what_is_built_with_monitoring(monitored: Path) -> None:
    assert "ERROR" not in run("kubernetes-validate", "--strict", monitored)


def test_monitoring_asks_without_a_token_for_what_needs_none(monitored: Path) -> None:
    (endpoint,) = objects(monitored)["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["path"] in OPEN_PATHS
    assert "authorization" not in endpoint


def test_kserves_pod_is_one_that_kubernetes_knows_with_time_to_drain(tmp_path: Path) -> None:
    (service,) = yaml.safe_load_all((DEPLOY / "kubernetes/kserve/inference-service.yaml").read_text())
    predictor = service["spec"]["predictor"]
    own = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
    spec = {name: value for name, value in predictor.items() if name not in own}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    assert "ERROR" not in run("kubernetes-validate", "--strict", tmp_path / "pod.yaml")
    (container,) = spec["containers"]
    drain = float(container["args"][container["args"].index("--drain") + 1])
    assert spec["terminationGracePeriodSeconds"] > drain + Settings({"m": Path("m")}).deadline
    assert container["name"] == "kserve-container"
    assert container["readinessProbe"]["httpGet"]["port"] == container["ports"][0]["containerPort"] == 8080
    assert container["readinessProbe"]["httpGet"]["path"] in OPEN_PATHS


def test_the_cluster_of_the_page_is_the_one_in_its_file(tmp_path: Path) -> None:
    cluster = yaml.safe_load((DEPLOY / "eks" / "cluster.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("eksctl.io/v1alpha5", "ClusterConfig")
    assert cluster["autoModeConfig"] == {"enabled": True}
    name = cluster["metadata"]["name"]
    script = shell_of_the_page()
    assert f"update-kubeconfig --name {name} " in script
    assert f"delete cluster --name {name} " in script
    assert "ERROR" not in run("kubernetes-validate", "--strict", DEPLOY / "eks" / "network-policy.yaml")


def test_a_pod_has_time_to_drain_before_it_is_killed(overlay: Path) -> None:
    spec = objects(overlay)["Deployment"]["spec"]["template"]["spec"]
    arguments = spec["containers"][0]["args"]
    drain = float(arguments[arguments.index("--drain") + 1])
    assert spec["terminationGracePeriodSeconds"] > drain + Settings({"m": Path("m")}).deadline


def template() -> Any:
    """The Lambda function's, CloudFormation's own functions as texts."""

    class Loader(yaml.SafeLoader): ...

    Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {node.value}")
    return yaml.load((DEPLOY / "lambda" / "template.yaml").read_text(), Loader)


def shell_of_the_page() -> str:
    """All that the deploy page has one type into a shell."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    return "".join(re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S))


def test_the_page_sets_every_variable_before_it_uses_it() -> None:
    known = {"PWD"}
    for line in shell_of_the_page().splitlines():
        known |= set(re.findall(r"(?:^|export )([A-Z_]+)=", line))
        assert set(re.findall(r"\$\{?([A-Z_]+)", line)) <= known, line


def test_the_page_gives_the_template_only_what_it_has_and_the_url_that_it_shows_is_allowed() -> None:
    (given,) = re.findall(r"--parameter-overrides (.*)", shell_of_the_page())
    names = re.findall(r"(\w+)=", given)
    assert set(names) <= template()["Parameters"].keys()
    assert {"Token", "AllowUrl"} <= set(names)
    (allowed,) = re.findall(r"AllowUrl=(\S+)", given)
    assert f"https://{allowed}/" in shell_of_the_page()


def test_a_new_accounts_bound_is_not_reserved_from() -> None:
    found = template()
    assert found["Parameters"]["Concurrency"]["Default"] == 0
    reserved = found["Resources"]["Predict"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved.startswith("!If")
    assert "Reserved" in found["Conditions"]


def test_what_the_page_replaces_in_a_file_is_there() -> None:
    script = shell_of_the_page()
    assert "sed -i" not in script  # which is another option on macOS
    (expression,) = re.findall(r"^REPLACED=(\S+)", script, re.M)
    runs = [("sed " + one) for one in re.findall(r"\bsed (\"\S+\" deploy/\S+)", script)]
    assert len(runs) == 2
    for run_sed in runs:
        done = subprocess.run(
            ["sh", "-c", f"REPLACED={expression}; {run_sed}"],
            env={
                "AWS_REGION": "us-west-2",
                "REGISTRY": "1.dkr.ecr.us-west-2.amazonaws.com",
                "PATH": "/bin:/usr/bin",
            },
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        assert "eu-west-1" not in done.stdout
        assert "us-west-2" in done.stdout


def test_lambda_gives_up_after_the_application_and_before_the_api() -> None:
    found = template()
    function = found["Resources"]["Predict"]["Properties"]
    assert DEADLINE < function["Timeout"] < 30
    policies = json.dumps(found["Resources"]["PredictRole"]["Properties"]["Policies"])
    assert '"*"' not in policies
    assert re.findall(r'"(\w+:\w+)"', policies) == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_images_run_as_nobody_and_check_their_health_without_a_shell() -> None:
    for name in ("server", "worker", "lambda"):
        assert "\nUSER 65532:65532\n" in stage(name)
    assert '["python", "-m", "trapline.serving.ready"]' in stage("server")
    assert "EXPOSE 8080 8500" in stage("server")
    settings = Settings({"m": Path("m")})
    assert (settings.port, settings.grpc_port) == (8080, 8500)


def test_the_image_of_workers_lacks_nothing_that_a_shard_needs() -> None:
    """The page on clusters names it: the server's would not do, for it has no tables."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert "docker build -f deploy/Dockerfile --target worker " in page
    assert "COPY --from=build-worker" in stage("worker")
    assert "--prune" not in stage("build-worker")
    assert "--extra cloud" in stage("build-worker")


def test_the_dockerfile_builds_with_the_uv_that_wrote_the_lock() -> None:
    assert re.search(r"uv==\d+\.\d+\.\d+", DOCKERFILE.read_text())
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    extras = next(one for one in lock["package"] if one["name"] == "trapline")["optional-dependencies"]
    assert {"serve", "lambda"} <= extras.keys()


@pytest.mark.parametrize("name", ["server", "lambda"])
def test_what_an_image_leaves_out_is_not_imported_to_answer(
    name: str, write_tiny_model: Any, tmp_path: Path
) -> None:
    """In a process in which the left out packages cannot be imported, photos and events are answered, by a
    model whose answers need all that a card can ask for: a tree of taxa, events with a calibration.
    """
    imports = {"scikit-learn": "sklearn", "grpcio": "grpc"}
    left_out = {imports.get(one, one) for one in re.findall(r"--prune (\S+)", stage(f"build-{name}"))}
    assert {"matplotlib", "sklearn", "polars", "onnx"} <= left_out
    program = f"""
import base64, io, json, sys
for module in {sorted(left_out | {"scipy"})!r}:
    sys.modules[module] = None
from PIL import Image
from trapline.serving.lambda_handler import build_handler, settings_from
handler = build_handler(settings_from({{"TRAPLINE_MODEL": sys.argv[1]}}))
file = io.BytesIO()
Image.new("RGB", (64, 64)).save(file, "PNG")
images = {{"images": [base64.b64encode(file.getvalue()).decode()] * 2}}
answer = handler(images, None)["answers"][1]
assert answer["status"] == "ok" and answer["taxon"], answer
http = {{"method": "POST", "path": "/predict", "sourceIp": None}}
event = {{"version": "2.0", "rawQueryString": "event=true", "body": json.dumps(images)}}
event |= {{"requestContext": {{"http": http}}, "headers": {{"content-type": "application/json"}}}}
found = handler(event, None)
assert found["statusCode"] == 200, found
if {name!r} == "server":
    from trapline.cli import main
    from trapline.serving import backend, server, settings
    settings.name_models([sys.argv[1]])
    try: main(["serve", "--help"])
    except SystemExit as end: assert not end.code
"""
    taxa = {"Lynx": Taxon("Lynx", "genus"), "Lynx rufus": Taxon("Lynx rufus", "species", "Lynx")}
    labels = {"bobcat": Label("bobcat", "animal", "Lynx rufus"), "blank": Label("blank", "blank")}
    taxonomy = Taxonomy(taxa, labels).to_json()
    pooling = EventPooling(method="noisy-or", calibration=Calibration(method="temperature", temperature=2))
    model = write_tiny_model(tmp_path / "tiny.onnx", labels, taxonomy=taxonomy, event=pooling)
    done = subprocess.run([sys.executable, "-c", program, model], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
