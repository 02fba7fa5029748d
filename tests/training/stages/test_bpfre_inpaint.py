"""Stage `bpfre_inpaint`: holes, and that it learns to fill them."""

import numpy as np
import torch

from frr.models.bpfre.retoucher import BlemishRetoucher
from frr.training.data.blemishes import BlemishSource
from frr.training.stages.bpfre_inpaint import InpaintStage, draw_holes

SMALL = {"channels": (8, 8), "attention_width": 8, "style_width": 8}


def test_inpainting_learns_and_holes_are_holes(squares):
    holes = draw_holes(np.random.default_rng(0), 5, 64)
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    assert (holes.flatten(1).mean(1) > 0).all() and holes.mean() < 0.6
    model = BlemishRetoucher(**SMALL, inpainting=True)
    made = InpaintStage(model, BlemishSource(squares), batch_size=2)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        loss = torch.stack(list(made.losses(np.random.default_rng(0)).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.8 * totals[0]
