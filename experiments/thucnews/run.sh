#!/usr/bin/env bash
# Every cell of thucnews, one process of one thread: LEXIGRAFT_DATA=... bash experiments/thucnews/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
train=".venv/bin/lexigraft train -m hardware=cpu hardware.threads=1 hardware.precision=bf16-mixed optimizer.fused=false
    trainer.progress=false data=thucnews source=tencent_char trainer.batch_size=128 trainer.epochs=3 trainer.patience=null
    transplant=random,subtoken_mean"

for seed in 0 1 2; do
    $train experiment=thucnews/textcnn seed=$seed model=textcnn optimizer.lr=3e-3
    $train experiment=thucnews/bilstm seed=$seed model=bilstm model/pooling=max model.encoder.hidden=64 optimizer.lr=3e-3
    $train experiment=thucnews/bilstm-attention seed=$seed model=bilstm model.encoder.hidden=64 optimizer.lr=3e-3
    $train experiment=thucnews/rcnn seed=$seed model=rcnn model.encoder.hidden=64 optimizer.lr=3e-3
    $train experiment=thucnews/dpcnn seed=$seed model=dpcnn model.encoder.channels=100 optimizer.lr=3e-3
    $train experiment=thucnews/fasttext seed=$seed model=fasttext optimizer.lr=1e-2
    $train experiment=thucnews/transformer seed=$seed model=transformer model.encoder.layers=1 model.encoder.feedforward=256 optimizer.lr=1e-3
    find outputs/thucnews -name last.ckpt -delete
done
.venv/bin/python experiments/thucnews/collect.py outputs/thucnews
