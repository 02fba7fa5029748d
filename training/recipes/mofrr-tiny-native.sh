# mofrr-tiny-native: from faces to a set that reads and restores photos at their own size.
#
#   frr recipe mofrr-tiny-native --faces faces --work work -o hub/mofrr-tiny   (--quick: only try it out)
#
# or, with FACES, WORK and OUT set, `sh mofrr-tiny-native.sh`. $FACES holds photographed people (real_train,
# real_val, real_test) beside other faces (train, test), each with landmarks. What is finished is not
# done again, so a stopped recipe goes on when it is started anew. It takes about eight hours of two
# CPU cores, and 12 GB in $WORK for pools.
#
# On one GPU all runs as it is: pools and runs take the GPU unless `--set device=cpu`; mixed_precision=auto is
# bf16 there. On 8 GPUs put `accelerate launch --num_processes 8 -m frr.cli` in place of `frr` before `train`, with
# batch_size a multiple of 8, which is the batch of all together: the rates stay those of that batch.
# A GPU that is lent: `frr bundle --faces faces -o lent.tar.gz`, and there, again and again,
# `frr slice mofrr-tiny-native --faces faces --work work -o back --minutes 9 [--processes 8]`.

set -eu
: "$FACES" "$WORK" "$OUT"

# One pool for all: photographed people are fewer than the others, and drawn more often.
frr pool native --faces "$FACES" -o "$WORK/pools/native" --resume --set sources=real_train:0.65,train:0.35 \
    --set items=6000 --set processes=2

# Router: a long run, then a short one at half the rate on chains of other draws, with more of strangers.
frr train native_router --pool "$WORK/pools/native" --run "$WORK/router_1" --resume \
    --set steps=7000 --set batch_size=20 --set learning_rate=2e-3 --set weight_decay=0.05 --set strangers=0.3
frr train native_router --pool "$WORK/pools/native" --run "$WORK/runs/router" --resume --set start="$WORK/router_1" \
    --set steps=1000 --set batch_size=20 --set learning_rate=1e-3 --set weight_decay=0.05 --set strangers=0.5 --set seed=1

# Experts, each from random weights.
frr train native_tone --pool "$WORK/pools/native" --run "$WORK/runs/whitening" --resume \
    --set operation=whitening --set steps=3000 --set batch_size=18 --set learning_rate=2e-3 --set unknown_share=0.55
frr train native_texture --pool "$WORK/pools/native" --run "$WORK/texture" --resume \
    --set steps=4000 --set batch_size=16 --set learning_rate=1e-3 --set unknown_share=0.5
frr train native_diffusion --pool "$WORK/pools/native" --run "$WORK/runs/smoothing" --resume --set start="$WORK/texture" \
    --set steps=2000 --set batch_size=16 --set learning_rate=2e-3 --set warmup=40 --set ema_decay=0.997
frr train native_flow --pool "$WORK/pools/native" --run "$WORK/runs/face_slimming" --resume \
    --set operation=face_slimming --set steps=3000 --set batch_size=18 --set learning_rate=2e-3 --set unknown_share=0.7
frr train native_flow --pool "$WORK/pools/native" --run "$WORK/runs/eye_enlarging" --resume \
    --set operation=eye_enlarging --set steps=3000 --set batch_size=18 --set learning_rate=2e-3 --set unknown_share=0.55

# Weights; probabilities and thresholds on validation people; results, card.
frr export --runs "$WORK/runs" -o "$OUT" --degree-source expert --without-code --overwrite
frr evaluate --world real --model "$OUT" --faces "$FACES" --source real_val --without 'london*' -o "$WORK/validation" \
    --seed 1 --all-choices --overwrite
frr thresholds --model "$OUT" --photos "$WORK/validation/photos.jsonl" --touched 0.01 --caution 4
# How surely degrees are drawn; again with these settings, for how large errors then are.
frr evaluate --world real --model "$OUT" --faces "$FACES" --source real_val --without 'london*' --candidates 5 \
    --sides 300,420,512 --seed 1 -o "$WORK/draws_1" --overwrite
frr thresholds --model "$OUT" --candidates "$WORK/draws_1/candidates.jsonl"
frr evaluate --world real --model "$OUT" --faces "$FACES" --source real_val --without 'london*' --candidates 5 \
    --sides 300,420,512 --seed 2 -o "$WORK/draws_2" --overwrite
frr thresholds --model "$OUT" --candidates "$WORK/draws_2/candidates.jsonl"
frr evaluate --world real --model "$OUT" --faces "$FACES" --source real_test --source 'real_val/london*' \
    -o "$WORK/real" --identity --overwrite
frr evaluate --model "$OUT" --faces "$FACES/test" -o "$WORK/laboratory" --overwrite
frr card --model "$OUT" --evaluation "$WORK/laboratory/given.json" --evaluation "$WORK/laboratory/router.json" \
    --overwrite
