# bpfre-tiny: from faces to hub/bpfre-tiny.
#
#   frr recipe bpfre-tiny --faces faces --work work -o hub/bpfre-tiny      (--quick: only try it out)
#
# or, with FACES, WORK and OUT set, `sh bpfre-tiny.sh`. What is finished is not done again, so a stopped
# recipe goes on when it is started anew. It takes about five hours of one CPU core. The shipped weights
# were made by these runs and some that were dropped (RUNS.md has them all).
#
# On one GPU all runs as it is: pools and runs take the GPU unless `--set device=cpu`; mixed_precision=auto is
# bf16 there. On 8 GPUs put `accelerate launch --num_processes 8 -m frr.cli` in place of `frr` before `train`, with
# batch_size a multiple of 8, which is the batch of all together: the rates stay those of that batch.
# A GPU that is lent: `frr bundle --faces faces -o lent.tar.gz`, and there, again and again,
# `frr slice bpfre-tiny --faces faces --work work -o back --minutes 9 [--processes 8]`.

set -eu
: "$FACES" "$WORK" "$OUT"

# The whole network first, then encoder and E2D map alone: to find blemishes takes more steps.
frr train bpfre --faces "$FACES/train" --run "$WORK/whole_1" --resume --set crop=128 --set mixed_precision=bf16 \
    --set adversarial=0 --set steps=1650 --set batch_size=6 --set learning_rate=1e-3 --set warmup=30
frr train bpfre --faces "$FACES/train" --run "$WORK/detection_1" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/whole_1" --set detection_only=true --set steps=5000 --set batch_size=16 --set learning_rate=1.5e-3
frr train bpfre --faces "$FACES/train" --run "$WORK/detection_2" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/detection_1" --set detection_only=true --set steps=3600 --set batch_size=16 --set learning_rate=1.2e-3
frr train bpfre --faces "$FACES/train" --run "$WORK/whole_2" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/detection_2" --set adversarial=0 --set steps=650 --set batch_size=8 --set learning_rate=8e-4
frr train bpfre --faces "$FACES/train" --run "$WORK/detection_3" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/whole_2" --set detection_only=true --set steps=2000 --set batch_size=16 --set learning_rate=1e-3
frr train bpfre --faces "$FACES/train" --run "$WORK/whole_3" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/detection_3" --set adversarial=0 --set steps=380 --set batch_size=8 --set learning_rate=7e-4

# The whole network's losses blunt the map, so the last run takes it from before and keeps it.
frr train bpfre --faces "$FACES/train" --run "$WORK/runs/bpfre" --resume --set crop=128 --set mixed_precision=bf16 \
    --set start="$WORK/whole_3" --set detection="$WORK/detection_3" --set keep_detection=true --set adversarial=0 \
    --set steps=600 --set batch_size=8 --set learning_rate=1e-3

# Filling holes.
frr train bpfre_inpaint --faces "$FACES/train" --run "$WORK/inpaint_1" --resume --set crop=128 \
    --set mixed_precision=bf16 --set steps=1400 --set batch_size=8 --set learning_rate=1.5e-3
frr train bpfre_inpaint --faces "$FACES/train" --run "$WORK/runs/bpfre_inpaint" --resume --set crop=160 \
    --set mixed_precision=bf16 --set start="$WORK/inpaint_1" --set steps=700 --set batch_size=6 --set learning_rate=1.2e-3

# Natural skin: what a classical retoucher finds with landmarks, learnt without them; then on more people. Skin weighs more.
frr pool natural --faces "$FACES" -o "$WORK/natural" --resume --set sources=real_train:0.8,train:0.2 --set items=128 \
    --set seed=5
frr pool natural --faces "$FACES" -o "$WORK/natural_2" --resume --set sources=real_train:0.85,train:0.15 \
    --set items=384 --set smallest=400 --set painted=0.3 --set seed=17
frr train bpfre_healer --pool "$WORK/natural" --run "$WORK/healer_1" --resume --set mixed_precision=bf16 \
    --set steps=170 --set batch_size=4 --set learning_rate=4e-3
frr train bpfre_healer --pool "$WORK/natural" --run "$WORK/healer_2" --resume --set mixed_precision=bf16 \
    --set start="$WORK/healer_1" --set steps=240 --set batch_size=4 --set learning_rate=4e-3 --set skin_weight=4 --set seed=1
frr train bpfre_healer --pool "$WORK/natural_2" --run "$WORK/runs/bpfre_healer" --resume --set mixed_precision=bf16 \
    --set start="$WORK/healer_2" --set steps=540 --set batch_size=4 --set learning_rate=3e-3 --set skin_weight=4 --set seed=4

# Threshold, weights, results, card.
frr export --pipeline bpfre --runs "$WORK/runs" -o "$OUT" --calibrate "$FACES/val" --limit 24 --without-code --overwrite
frr evaluate --pipeline bpfre --model "$OUT" --faces "$FACES/test" -o "$WORK/report" --overwrite
frr evaluate --pipeline bpfre --world real --model "$OUT" --faces "$FACES" --source real_test -o "$WORK/natural_report" \
    --overwrite
frr card --repo frr/bpfre --model "$OUT" --evaluation "$WORK/report/bpfre.json" --overwrite
