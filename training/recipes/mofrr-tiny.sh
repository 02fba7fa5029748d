# mofrr-tiny: from faces to a set of the paper's kind, on photos of 256 pixels; hub/mofrr-tiny is of mofrr-tiny-native.
#
#   frr recipe mofrr-tiny --faces faces --work work -o made      (--quick: only try it out)
#
# or, with FACES, WORK and OUT set, `sh mofrr-tiny.sh`. What is finished is not done again, so a stopped
# recipe goes on when it is started anew. It takes about ten hours of one CPU core, and 16 GB in $WORK for
# pools. The weights of 21 November were made by these stages with more detours (RUNS.md has them all);
# this is the straight way, with the settings that were kept.
#
# On one GPU all runs as it is: pools and runs take the GPU unless `--set device=cpu`; mixed_precision=auto is
# bf16 there. On 8 GPUs put `accelerate launch --num_processes 8 -m frr.cli` in place of `frr` before `train`, with
# batch_size a multiple of 8, which is the batch of all together: the rates stay those of that batch.
# A GPU that is lent: `frr bundle --faces faces -o lent.tar.gz`, and there, again and again,
# `frr slice mofrr-tiny --faces faces --work work -o back --minutes 9 [--processes 8]`.

set -eu
: "$FACES" "$WORK" "$OUT"

# Router: three pools of faces in all versions; batch statistics first learnt, then frozen; the last two
# runs share their statistics, so that the mean of both can be taken.
frr pool router --faces "$FACES/train" -o "$WORK/pools/router_1" --resume --set items=4700 --set export_probability=0.1
frr train router --pool "$WORK/pools/router_1" --run "$WORK/router_1" --resume \
    --set steps=2300 --set learning_rate=3e-3 --set mixed_precision=bf16
frr train router --pool "$WORK/pools/router_1" --run "$WORK/router_2" --resume --set start="$WORK/router_1" \
    --set frozen_statistics=true --set steps=1000 --set learning_rate=1.5e-3 --set mixed_precision=bf16
frr pool router --faces "$FACES/train" -o "$WORK/pools/router_2" --resume --set items=3150 --set seed=1
frr train router --pool "$WORK/pools/router_2" --run "$WORK/router_3" --resume --set start="$WORK/router_2" \
    --set frozen_statistics=true --set steps=3600 --set learning_rate=2e-3 --set mixed_precision=bf16
frr pool router --faces "$FACES/train" -o "$WORK/pools/router_3" --resume --set items=3150 --set seed=2 \
    --set vary_light=0.3
frr train router --pool "$WORK/pools/router_3" --run "$WORK/router_4" --resume --set start="$WORK/router_3" \
    --set frozen_statistics=true --set steps=2200 --set learning_rate=1.5e-3 --set mixed_precision=bf16
frr average "$WORK/router_3" "$WORK/router_4" -o "$WORK/runs/router" --overwrite

# Whitening: the tone head, the mean of two runs; then what it leaves to the rest of the expert.
frr pool tone --faces "$FACES/train" -o "$WORK/pools/whitening" --resume --set operation=whitening --set items=18000
frr train tone --pool "$WORK/pools/whitening" --run "$WORK/whitening_1" --resume --set steps=2200 --set learning_rate=3e-3
frr train tone --pool "$WORK/pools/whitening" --run "$WORK/whitening_2" --resume --set start="$WORK/whitening_1" \
    --set steps=1800 --set learning_rate=2.5e-3
frr average "$WORK/whitening_1" "$WORK/whitening_2" -o "$WORK/whitening_mean" --overwrite
frr train expert --faces "$FACES/train" --run "$WORK/runs/whitening" --resume --set start="$WORK/whitening_mean" \
    --set operation=whitening --set keep_heads=true --set steps=420 --set batch_size=8 --set learning_rate=2e-3

# Smoothing: the whole expert.
frr train expert --faces "$FACES/train" --run "$WORK/smoothing_1" --resume --set operation=smoothing \
    --set steps=130 --set batch_size=10 --set learning_rate=1.5e-3 --set warmup=20
frr train expert --faces "$FACES/train" --run "$WORK/runs/smoothing" --resume --set start="$WORK/smoothing_1" \
    --set operation=smoothing --set steps=150 --set batch_size=10 --set learning_rate=1e-3 --set warmup=20

# Geometry: the flow heads alone.
frr pool warp --faces "$FACES/train" -o "$WORK/pools/slimming_1" --resume --set operation=face_slimming --set items=4800
frr train warp --pool "$WORK/pools/slimming_1" --run "$WORK/slimming_1" --resume --set steps=800 --set learning_rate=3e-3
frr pool warp --faces "$FACES/train" -o "$WORK/pools/slimming_2" --resume --set operation=face_slimming --set items=4500 \
    --set seed=1
frr train warp --pool "$WORK/pools/slimming_2" --run "$WORK/runs/face_slimming" --resume --set start="$WORK/slimming_1" \
    --set steps=1150 --set learning_rate=1.5e-3
frr pool warp --faces "$FACES/train" -o "$WORK/pools/eyes" --resume --set operation=eye_enlarging --set items=4800
frr train warp --pool "$WORK/pools/eyes" --run "$WORK/runs/eye_enlarging" --resume --set steps=700 --set learning_rate=3e-3

# The shared expert, and the merger of all.
frr train shared --faces "$FACES/train" --run "$WORK/runs/shared" --resume \
    --set steps=90 --set batch_size=10 --set learning_rate=1.5e-3 --set warmup=10
frr pool merger --faces "$FACES/train" -o "$WORK/pools/merger" --resume --set models="$WORK/runs" --set items=1540
frr train merger --pool "$WORK/pools/merger" --run "$WORK/runs/merger" --resume --set steps=1000 --set learning_rate=2e-3

# Thresholds, weights, results, card.
frr export --runs "$WORK/runs" -o "$OUT" --calibrate "$FACES/val" --degree-source router --without-code --overwrite
frr evaluate --model "$OUT" --faces "$FACES/test" -o "$WORK/report" --overwrite
frr card --model "$OUT" --evaluation "$WORK/report/given.json" --evaluation "$WORK/report/router.json" --overwrite
