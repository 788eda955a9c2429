#!/usr/bin/env bash
# Every cell of kim-cnn, one process of one thread: LEXIGRAFT_DATA=... bash experiments/kim-cnn/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
train=".venv/bin/lexigraft train -m hardware=cpu hardware.threads=1 hardware.precision=bf16-mixed trainer.progress=false
    source=googlenews tokenizer=word transplant=uniform
    model=textcnn model.encoder.kernel_sizes=[3,4,5] model.embedding_dropout=0 model.head_dropout=0.5
    regularise=[max_norm] optimizer=adadelta scheduler=constant
    trainer.batch_size=50 trainer.gradient_clip=null trainer.epochs=10 trainer.patience=2"
folds="data.fold=0,1,2,3,4,5,6,7,8,9"
lower="tokenizer.lowercase=true"   # the paper's cleaning folds case everywhere but in TREC

cells() {   # name of the variant, and what makes it
    local to="experiment=kim-cnn/$1"
    shift
    $train "$to" data=cr,mpqa,mr,subj $folds $lower "$@"
    $train "$to" data=trec seed=0,1,2,3,4 "$@"
    $train "$to" data=sst5 seed=0,1,2 $lower "$@"
    $train "$to" data=sst2 data.name=sst2_phrases data.train=en_sst/sst2_glue.train.tsv.gz seed=0,1,2 $lower \
        trainer.epochs=2 trainer.patience=null "$@"
    find "outputs/${to#experiment=}" -name last.ckpt -delete   # 150 of them fill a disk
}
cells random transplant.match=false
cells nonstatic
cells static finetune=frozen
.venv/bin/python experiments/kim-cnn/collect.py outputs/kim-cnn
