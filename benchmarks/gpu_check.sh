#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the tests that need it, the benchmark on it, how busy it was, and the first epoch of
# the strongest recipe. Writes a report.
#
#   pip install -e '.[cuda,dev]'
#   benchmarks/gpu_check.sh [TABLE IMAGES]        (without them, posts are generated)
#
# Has not run yet: no GPU was at hand (docs/benchmarks.md).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! nvidia-smi > /dev/null 2>&1; then
    echo "There is no NVIDIA GPU here (nvidia-smi does not work): run this on a machine that has one." >&2
    exit 1
fi
report=${REPORT:-gpu-report}
mkdir -p "$report"
corpus=()
if [ $# -eq 2 ]; then
    corpus=("$1" --images "$2")
fi

nvidia-smi > "$report/nvidia-smi.txt"
if ! sentimm doctor > "$report/doctor.txt"; then
    echo "Scoring does not work here: see $report/doctor.txt." >&2
    exit 1
fi
python -m pytest -q tests/runtime/test_cuda.py | tee "$report/tests.txt"
if grep -q skipped "$report/tests.txt"; then
    echo "The tests were skipped: ONNX Runtime can't use the GPU. See $report/doctor.txt." >&2
    exit 1
fi

nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used --format=csv -lms 200 > "$report/utilization.csv" &
watcher=$!
trap 'kill "$watcher" 2> /dev/null || true' EXIT
sentimm bench "${corpus[@]}" --device cuda --posts 20000 --json --figure "$report/bench.png" > "$report/bench.json"
kill "$watcher"

awk -F', ' 'NR > 1 { sum += $2; rows++ } END { printf "mean GPU utilization over the run: %.0f%%\n", sum / rows }' \
    "$report/utilization.csv" | tee "$report/utilization.txt"
python - "$report/bench.json" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))
print(f"{found['whole']:.0f} posts/s, {found['share_of_limit']:.0%} of the limit, bottleneck: {found['bottleneck']}")
PYTHON
if ! python -c "import torch, sys; sys.exit(not torch.cuda.is_available())"; then
    echo "PyTorch can't use the GPU: install a build of it for CUDA, and run this again." >&2
    exit 1
fi
python benchmarks/strong_epoch.py --work "$report/strong" | tee "$report/strong.txt"
rm -r "$report/strong"
echo "Report: $report"
