"""BPFRe assembled from runs."""

import pytest

from frr.models.bpfre.retoucher import BlemishRetoucher
from frr.pipelines.bpfre.pipeline import BPFRePipeline
from frr.training.publishing.assemble_bpfre import assemble_bpfre

SMALL = {"channels": (8, 8), "attention_width": 8, "style_width": 8}


def test_assembling_needs_a_retoucher_and_calibrates_it(squares, tmp_path):
    with pytest.raises(ValueError, match="no trained network"):
        assemble_bpfre(tmp_path)
    BlemishRetoucher(**SMALL).save_pretrained(tmp_path / "bpfre" / "model")
    pipe = assemble_bpfre(tmp_path, squares.select(range(2)))
    assert isinstance(pipe, BPFRePipeline) and pipe.inpainter is None
    assert pipe.config["threshold"] == 0.004  # the identity leaves all squares alone
