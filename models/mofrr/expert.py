"""WaveFRR, a specialised expert of MoFRR: undoes one retouching operation by its wavelet bands.

The paper's expert (ICCV 2025, section "WaveFRR"): a degree estimator, IDEM and a conditional DDIM
on the low band, HFCAM on the high bands. Added here: a warp head that moves structure back or a
tone head that takes light and colour back, before the rest sees the bands, and corrections scaled
by the degree, so that degree 0 is the identity.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..retouching_traces import TRACES, retouching_traces
from ..sizes import LATENT_STRIDE, SizeRequirements
from ..unets import make_unet
from ..wavelets import WaveletTransform
from .coarse_head import CoarseHead
from .contract import DenoiserOutput, ExpertOutput
from .degrees import DegreeEstimator, as_plane, expected_degree
from .denoising import DenoisingExpert, check_prediction
from .hfcam import HFCAM
from .idem import IDEM
from .warping import upsample_flow, warp

TRACE_GRID = SizeRequirements(1, 8)  # the traces need whole cells of 8 x 8 pixels
LOW_SCALE = 4.0  # the orthonormal LL2 band of an image in [-1, 1] spans [-4, 4]


class ExpertCondition(NamedTuple):
    """What an expert knows of a photo, fixed over the denoising steps (padded sizes)."""

    warped: Tensor  # B 3 H' W', the photo after the warp head
    flow: Tensor | None  # B 2 H' W', pixels (x, y), backward; None without a warp head
    low: Tensor  # B 3 h w, LL2 of `warped` divided by 4, [-1, 1], with the tone head's correction
    tone: Tensor  # B 3 h w, that correction; zeros without a tone head
    details: tuple[Tensor, Tensor]  # level 2: B 3 3 h w, level 1: B 3 3 2h 2w
    degree: Tensor  # B, 0 = none .. 1 = strongest
    size: tuple[int, int]  # H, W of the photo before padding

    @property
    def photo_low(self) -> Tensor:
        """LL2 / 4 of `warped` as it was, B 3 h w."""
        return self.low - self.tone

    def low_change(self, low: Tensor) -> Tensor:
        """How a low band differs from the photo's, B 3 h w; exactly zero where nothing acted."""
        return low - self.low + self.tone


class WaveFRRExpert(DenoisingExpert):
    """Undoes one retouching operation. At initialisation, and at degree 0, it is the identity.

    Args:
        wavelet: name of the wavelet; "haar" is built in, others need pytorch_wavelets.
        prediction_type: "sample" (clean low band = photo's low band + correction) or "epsilon".
        has_warp_head: whether structure is moved back by a predicted flow (geometric operations).
        denoiser_channels: widths of the denoiser's levels; each level halves the side.
        denoiser_layers: residual blocks a level.
        attention_levels: levels of the denoiser with self-attention.
        has_tone_head: whether light and colour are taken back by a predicted correction of the low
            band (operations that change tone).
        coarse_channels: widths of the warp or tone head's levels.
        idem_width: channels of IDEM's features.
        hfcam_width: channels of HFCAM's features.
        hfcam_heads: attention heads of HFCAM; divides `hfcam_width`.
        hfcam_window: side of HFCAM's attention windows, in band positions.
        degree_levels: number of degree levels, spread evenly over (0, 1].
        degree_resnet: keyword arguments of transformers' ResNetConfig for the degree estimator.
    """

    estimates_degrees = True

    @register_to_config
    def __init__(
        self,
        wavelet: str = "haar",
        prediction_type: str = "sample",
        has_warp_head: bool = False,
        has_tone_head: bool = False,
        denoiser_channels: tuple[int, ...] = (16, 32, 64),
        denoiser_layers: int = 1,
        attention_levels: tuple[int, ...] = (2,),
        coarse_channels: tuple[int, ...] = (48, 64, 96),
        idem_width: int = 16,
        hfcam_width: int = 16,
        hfcam_heads: int = 2,
        hfcam_window: int = 8,
        degree_levels: int = 5,
        degree_resnet: dict | None = None,
    ) -> None:
        super().__init__()
        check_prediction(prediction_type)
        tiny_resnet = {
            "embedding_size": 32,
            "hidden_sizes": [32, 48, 64],
            "depths": [1, 1, 1],
            "layer_type": "basic",
        }
        self.transform = WaveletTransform(wavelet)
        self.trace_standardization = nn.BatchNorm2d(TRACES, affine=False)
        self.degree_estimator = DegreeEstimator(degree_resnet or tiny_resnet, degree_levels)
        self.idem = IDEM(idem_width)
        self.denoiser = make_unet(10, 3, denoiser_channels, denoiser_layers, attention_levels)
        if has_warp_head:
            self.warp_head = CoarseHead(TRACES + 13, 2, coarse_channels)
        if has_tone_head:
            self.tone_head = CoarseHead(TRACES + 13, 12, coarse_channels)
        self.hfcam = nn.ModuleList(HFCAM(hfcam_width, hfcam_heads, hfcam_window) for _ in range(2))
        self.size_requirements = SizeRequirements(
            1, max(8, LATENT_STRIDE * 2 ** (len(denoiser_channels) - 1))
        )

    @property
    def has_coarse_head(self) -> bool:
        """Whether there is a warp head or a tone head, which see the photo's traces."""
        return self.config.has_warp_head or self.config.has_tone_head

    def raw_traces(self, photo: Tensor) -> Tensor:
        """`retouching_traces`: they depend on the photo alone, so that experts can share them."""
        return retouching_traces(photo)

    def traces(self, photo: Tensor, raw: Tensor | None = None) -> Tensor:
        """Standardised traces of a photo B 3 H W, sides divisible by 8: B 33 H/8 W/8.

        Args:
            photo: B 3 H W in [-1, 1].
            raw: its `raw_traces` where they are known.
        """
        return self.trace_standardization(self.raw_traces(photo) if raw is None else raw)

    def estimate_degree(self, photo: Tensor, raw: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits over the degree levels, B L, and the expected degree, B; as for `traces`."""
        return self.estimate_degree_from(self.traces(TRACE_GRID.pad(photo), raw))

    def estimate_degree_from(self, traces: Tensor) -> tuple[Tensor, Tensor]:
        """The same from standardised traces B 33 h w."""
        logits = self.degree_estimator(traces)
        return logits, expected_degree(logits)

    def bands(self, photo: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Two-level transform: LL2 / 4, and the details of level 2 and of level 1."""
        low, fine = self.transform.analysis(photo)
        low, coarse = self.transform.analysis(low)
        return low / LOW_SCALE, (coarse, fine)

    def prepare(self, photo: Tensor, degree: Tensor, raw: Tensor | None = None) -> ExpertCondition:
        """Everything the denoising steps need of a photo.

        Args:
            photo: B 3 H W in [-1, 1], any size.
            degree: B, in [0, 1].
            raw: `raw_traces` of the photo padded as `size_requirements` ask, where known.
        """
        size = (photo.shape[-2], photo.shape[-1])
        warped = self.size_requirements.pad(photo)
        low, details = self.bands(warped)
        flow = None
        tone = low.new_zeros(1).expand_as(low)
        if self.has_coarse_head:
            traces, unmoved = self.traces(warped, raw), low
            if self.config.has_warp_head:
                flow = upsample_flow(self.predict_flow(traces, unmoved, degree), warped)
                warped = warp(warped, flow)
                low, details = self.bands(warped)
            if self.config.has_tone_head:
                tone = self.predict_tone(traces, unmoved, degree)
                low = low + tone
        return ExpertCondition(warped, flow, low, tone, details, degree, size)

    def predict_flow(self, traces: Tensor, low: Tensor, degree: Tensor) -> Tensor:
        """The flow that moves structure back, in proportion to the degree.

        Args:
            traces: B 33 h w, standardised.
            low: B 3 2h 2w, LL2 / 4.
            degree: B.

        Returns:
            B 2 h w in pixels of the photo, whose sides are 8 times as long.
        """
        return self._look_coarsely(self.warp_head, traces, low, degree)

    def predict_tone(self, traces: Tensor, low: Tensor, degree: Tensor) -> Tensor:
        """The change of LL2 / 4 that takes light and colour back, in proportion to the degree.

        Arguments as for `predict_flow`; B 3 2h 2w.
        """
        return F.pixel_shuffle(self._look_coarsely(self.tone_head, traces, low, degree), 2)

    @staticmethod
    def _look_coarsely(head: nn.Module, traces: Tensor, low: Tensor, degree: Tensor) -> Tensor:
        plane = as_plane(degree, traces)
        return head(torch.cat((traces, F.pixel_unshuffle(low, 2), plane), dim=1)) * plane

    def denoise(
        self, latents: Tensor, timestep: Tensor | int, condition: ExpertCondition
    ) -> DenoiserOutput:
        """One step: noisy low band B 3 h w at `timestep` (int or B) -> prediction."""
        plane = as_plane(condition.degree, latents)
        residual = self.idem(plane, condition.low, latents)
        features = torch.cat((latents, condition.low, residual, plane), dim=1)
        prediction = self.denoiser(features, timestep).sample
        if self.config.prediction_type == "sample":
            prediction = condition.low + prediction * plane
        return DenoiserOutput(prediction, residual)

    def refine_details(self, low: Tensor, condition: ExpertCondition) -> tuple[Tensor, Tensor]:
        """Changes of the details of level 2 and of level 1, given the clean low band."""
        coarse_details, fine_details = condition.details
        low_change = condition.low_change(low) * LOW_SCALE
        coarse = self.hfcam[0](low, condition.photo_low, coarse_details, condition.degree)

        photo_low = self.transform.synthesis(condition.photo_low * LOW_SCALE, coarse_details)
        fine_low = photo_low + self.transform.synthesis(low_change, coarse)
        fine = self.hfcam[1](fine_low / 2, photo_low / 2, fine_details, condition.degree)
        return coarse, fine

    def reconstruct_changes(
        self, low: Tensor, coarse: Tensor, fine: Tensor, condition: ExpertCondition
    ) -> ExpertOutput:
        """Inverse wavelet transform of the clean low band and the changes of the details.

        The transform is linear, so it is applied to the changes alone: no change, no rounding.
        """
        low_change = condition.low_change(low) * LOW_SCALE
        residual = self.transform.synthesis(self.transform.synthesis(low_change, coarse), fine)
        height, width = condition.size
        warped, residual = (x[..., :height, :width] for x in (condition.warped, residual))
        flow = None if condition.flow is None else condition.flow[..., :height, :width]
        return ExpertOutput(warped, flow, residual)

    def reconstruct(self, low: Tensor, condition: ExpertCondition) -> ExpertOutput:
        """Restored photo from the clean low band B 3 h w (LL2 / 4)."""
        coarse, fine = self.refine_details(low, condition)
        return self.reconstruct_changes(low, coarse, fine, condition)
