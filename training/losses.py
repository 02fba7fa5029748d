"""The losses of MoFRR (ICCV 2025): L_freq, L_space, L_class, and the flow's, which is ours."""

import torch
import torch.nn.functional as F
from torch import Tensor


def structural_similarity(image: Tensor, other: Tensor, data_range: float, side: int = 7) -> Tensor:
    """Mean SSIM of planes B 1 H W over uniform windows of `side` x `side`, a scalar.

    Eq. 13 of Wang et al. 2004 as scikit-image computes it; here by separable means, whose
    gradient costs next to nothing.
    """

    def mean(planes: Tensor) -> Tensor:
        return F.avg_pool2d(F.avg_pool2d(planes, (side, 1), 1), (1, side), 1)

    products = (image.square(), other.square(), image * other)
    moments = mean(torch.cat((image, other, *products), dim=1))
    mean_a, mean_b, square_a, square_b, product = moments.unbind(dim=1)
    unbiased = side**2 / (side**2 - 1)
    variance = unbiased * (square_a - mean_a.square() + square_b - mean_b.square())
    covariance = unbiased * (product - mean_a * mean_b)
    luminance, contrast = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * mean_a * mean_b + luminance) * (2 * covariance + contrast)
    below = (mean_a.square() + mean_b.square() + luminance) * (variance + contrast)
    return (above / below).mean()


def hybrid(restored: Tensor, clean: Tensor, weight: Tensor | None = None) -> Tensor:
    """The paper's hyb = L1 + (1 - SSIM), of which L_space is the sum; a scalar, SSIM of the greys.

    Args:
        restored: B 3 H W in [-1, 1].
        clean: B 3 H W in [-1, 1].
        weight: B 1 H W with mean about 1, weights of the L1 term; None weighs all pixels alike.
    """
    difference = (restored - clean).abs()
    if weight is not None:
        difference = difference * weight
    grey = (restored.mean(dim=1, keepdim=True), clean.mean(dim=1, keepdim=True))
    return difference.mean() + (1 - structural_similarity(*grey, data_range=2.0))


def edit_weight(mask: Tensor, share: float = 0.5) -> Tensor:
    """Pixel weights, mean 1, that give a region a fixed share of the loss however small it is.

    Args:
        mask: B H W in [0, 1], where the operation acted.
        share: share of the total weight that goes to the mask.

    Returns:
        B 1 H W.
    """
    area = mask.mean(dim=(1, 2), keepdim=True)
    focus = torch.where(area > 0, mask / area.clamp_min(1e-3), torch.ones_like(mask))
    return ((1 - share) + share * focus)[:, None]


def total_variation(bands: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, over the last two axes."""
    rows = (bands[..., 1:, :] - bands[..., :-1, :]).abs().mean()
    columns = (bands[..., 1:] - bands[..., :-1]).abs().mean()
    return rows + columns


def high_bands(refined: Tensor, clean: Tensor, variation_weight: float = 0.01) -> Tensor:
    """L_high: squared error of detail bands B 3 3 h w, and the total variation of their error."""
    error = refined - clean
    return error.square().mean() + variation_weight * total_variation(error)


def flow_error(flow: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """End-point error in pixels: its mean over the photo plus its mean over where it moved.

    Args:
        flow: B 2 H W, pixels.
        truth: B 2 H W, the simulator's undoing flow, pixels.
        mask: B H W in [0, 1], where the operation acted.
    """
    distance = (flow - truth).abs().sum(dim=1)
    return distance.mean() + (distance * mask).sum() / mask.sum().clamp_min(1)


def end_point_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of two flows B 2 h w, in their unit, rounded off below 0.1."""
    return ((flow - truth).square().sum(dim=1) + 1e-2).sqrt().mean()


def log_error(change: Tensor, truth: Tensor, floor: float = 1e-5, share: float = 0.02) -> Tensor:
    """Mean over photos of log(MSE + floor + share * mean square of the truth), a scalar.

    Unlike the MSE it gives each photo's decibels the same weight, however strong its edit is; the
    floor keeps photos that are right already from counting for more.

    Args:
        change: B C h w.
        truth: B C h w.
        floor: mean square below which an error no longer counts.
        share: the same as a share of the truth's own mean square.
    """
    error = (change - truth).square().mean(dim=(1, 2, 3))
    return (error + floor + share * truth.square().mean(dim=(1, 2, 3))).log().mean()


def soft_level(degrees: Tensor, levels: int) -> Tensor:
    """Degrees in [0, 1] as distributions over `levels` levels whose expectation is the degree.

    Level i (from 1) stands for i / levels; a degree between two levels is split between them, one
    below the first is given to the first. Shape ... -> ... levels.
    """
    position = (degrees * levels - 1).clamp(0, levels - 1)
    below = position.floor().long().clamp(max=levels - 2) if levels > 1 else position.long()
    share = (position - below)[..., None]
    upper = F.one_hot((below + 1).clamp(max=levels - 1), levels)
    return (1 - share) * F.one_hot(below, levels) + share * upper


def degree_classification(logits: Tensor, degrees: Tensor) -> Tensor:
    """L_class of a degree estimator: soft cross-entropy over the photos that have the operation.

    Args:
        logits: ... L.
        degrees: ... in [0, 1]; zero = the operation is absent, which does not count.
    """
    present = (degrees > 0).float()
    entropy = F.cross_entropy(
        logits.flatten(0, -2),
        soft_level(degrees, logits.shape[-1]).flatten(0, -2),
        reduction="none",
    ).reshape(degrees.shape)
    return (entropy * present).sum() / present.sum().clamp_min(1)


def presence_classification(logits: Tensor, degrees: Tensor) -> Tensor:
    """L_class of the router's presence: binary cross-entropy, B K logits, B K degrees."""
    return F.binary_cross_entropy_with_logits(logits, (degrees > 0).float())


def location_classification(logits: Tensor, masks: Tensor, emphasis: float = 9.0) -> Tensor:
    """Cross-entropy of where each operation acted.

    Args:
        logits: B K h w.
        masks: B K H W in [0, 1], the simulator's; averaged to h w.
        emphasis: extra weight of touched places, since most are not.
    """
    target = F.adaptive_avg_pool2d(masks, (logits.shape[-2], logits.shape[-1]))
    weight = 1 + emphasis * target
    return F.binary_cross_entropy_with_logits(logits, target, weight=weight)
