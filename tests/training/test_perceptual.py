"""Feature distances: Haar bands, and VGG from a file."""

import pytest
import torch
from safetensors.torch import save_file

from frr.training.perceptual import VGGFeatures, feature_loss, haar_features


def test_haar_features_see_texture_and_not_a_constant():
    flat = torch.zeros(1, 3, 16, 16)
    assert haar_features(flat, flat + 0.5) == 0
    checks = flat.clone()
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1.0
    # Finest level: (a - b - c + d) = 2, the other details 0; halved, a third of the levels.
    assert haar_features(checks, flat) == pytest.approx(1 / 3)


def test_vgg_is_read_from_disk_or_asked_for(tmp_path):
    with pytest.raises(ValueError, match="download yourself"):
        feature_loss(tmp_path / "vgg19.pth")
    assert feature_loss("") is haar_features
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"no VGG-19"):
        VGGFeatures(tmp_path / "wrong.pth")


def test_vgg_weights_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("frr.training.perceptual._VGG19", (4, 4, 0, 8))
    monkeypatch.setattr("frr.training.perceptual._VGG_TAPS", (1, 6))
    shapes = {"0": (4, 3), "2": (4, 4), "5": (8, 4)}
    state = {f"features.{k}.weight": torch.randn(*s, 3, 3) for k, s in shapes.items()}
    state |= {f"features.{k}.bias": torch.randn(s[0]) for k, s in shapes.items()}
    save_file(state, tmp_path / "vgg.safetensors")
    features = VGGFeatures(tmp_path / "vgg.safetensors")
    assert torch.equal(features.features[5].weight, state["features.5.weight"])
    photo = torch.rand(1, 3, 16, 16)
    assert features(photo, photo) == 0 and features(photo, -photo) > 0
