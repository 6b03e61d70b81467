"""The two tiers of the Kubernetes overlay, run as two processes: what their pods are told is what serves."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from serving_process import Running

from trapline import ModelFile
from trapline.serving.answers import answer

pytestmark = pytest.mark.slow

OVERLAY = Path(__file__).parents[3] / "deploy/kubernetes/overlays/two-tiers"
TOKEN = "open sesame"


@pytest.fixture(scope="module")
def containers() -> dict[str, Any]:
    """Component → what its Deployment runs."""
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(OVERLAY)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    deployments = [one for one in yaml.safe_load_all(built) if one["kind"] == "Deployment"]
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"][
            "containers"
        ][0]
        for one in deployments
    }


def environment(container: Any) -> dict[str, str]:
    """What the secret gives it."""
    return {one["name"]: TOKEN for one in container["env"]}


def test_the_gateway_and_the_model_server_of_the_overlay_answer_together(
    start: Callable[..., Running], containers: dict[str, Any], models: dict[str, Path], photos: list[bytes]
) -> None:
    def arguments(component: str) -> list[str]:
        given = " ".join(containers[component]["args"])
        return given.replace("/models/model.onnx", str(models["species"])).split()

    behind = start(*arguments("model-server"), **environment(containers["model-server"]))
    told = arguments("gateway")
    told[told.index("--backend") + 1] = f"grpc://127.0.0.1:{behind.grpc_port}"
    front = start(*told, **environment(containers["gateway"]))
    for one, component in ((front, "gateway"), (behind, "model-server")):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = containers[component][probe]["httpGet"]["path"]
            assert one.ask("GET", path)[0] == 200, (component, probe)
        status, _, content = one.ask("POST", "/predict", photos[0], {"content-type": "image/jpeg"})
        assert (status, json.loads(content)["code"]) == (401, "unauthenticated")
    shown = {"content-type": "image/jpeg", "authorization": f"Bearer {TOKEN}"}
    (expected,) = answer(ModelFile(models["species"]), [photos[0]])
    status, _, content = front.ask("POST", "/predict", photos[0], shown)
    assert status == 200, content
    found = json.loads(content)
    np.testing.assert_allclose(
        list(found["answers"][0]["probabilities"].values()), expected.probabilities, atol=1e-4
    )
    assert found["model"]["computed_by"] == ModelFile(models["species"]).fingerprint
    behind.process.kill()
    behind.process.wait()
    assert front.ask("GET", containers["gateway"]["readinessProbe"]["httpGet"]["path"])[0] == 503
    assert front.ask("GET", containers["gateway"]["livenessProbe"]["httpGet"]["path"])[0] == 200
