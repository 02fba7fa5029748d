"""The Haar transform: an oracle, the laws, one case worked by hand."""

import pytest
import torch

from frr.models.wavelets import WaveletTransform, haar_analysis, haar_synthesis


def test_one_square_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    low, details = haar_analysis(image)
    assert low.item() == 6.0  # (1 + 2 + 3 + 6) / 2
    assert details.flatten().tolist() == [-3.0, -2.0, 1.0]  # rows, columns, diagonal


@pytest.mark.parametrize("size", [(2, 2), (8, 6), (32, 64)])
def test_agrees_with_pywavelets(size):
    pywt = pytest.importorskip("pywt")
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    low, details = haar_analysis(image)
    expected_low, expected_details = pywt.dwt2(image.numpy(), "haar")
    assert torch.allclose(low, torch.from_numpy(expected_low), atol=1e-12)
    expected = torch.stack([torch.from_numpy(band) for band in expected_details], dim=2)
    assert torch.allclose(details, expected, atol=1e-12)


def test_reconstruction_and_energy():
    image = torch.randn(2, 3, 24, 40, dtype=torch.float64)
    low, details = haar_analysis(image)
    assert torch.allclose(haar_synthesis(low, details), image, atol=1e-12)
    energy = low.square().sum() + details.square().sum()
    assert torch.allclose(energy, image.square().sum())


@pytest.mark.parametrize("wavelet", ["haar", "db2", "bior2.2"])
def test_other_wavelets_reconstruct(wavelet):
    if wavelet != "haar":
        pytest.importorskip("pytorch_wavelets", reason="the extra `wavelets` is not installed")
    transform = WaveletTransform(wavelet)
    image = torch.randn(1, 3, 32, 64)
    assert torch.allclose(transform.synthesis(*transform.analysis(image)), image, atol=1e-4)


def test_a_missing_wavelet_library_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pytorch_wavelets", None)
    with pytest.raises(ImportError, match=r"frr\[wavelets\]"):
        WaveletTransform("db2")
