"""NativeRouter, MoFRR's router for photos at their own size: what was done, and how strongly.

ResNet-MAM (RetouchingFFHQ, ACM MM 2023) as a multi-label classifier: a ResNet trunk whose every
stage is summarised by learnable group tokens (multi-granularity attention), an embedding of the
scale, and a small transformer. Beyond the paper: the trunk does not see pixels but traces of
retouching measured at the photo's own size, beside a small colour image, on a grid that knows where
it lies in the face; and degrees are distributions.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from ..native_traces import CHANNELS
from .face_parts import FaceParts
from .granularity import GranularityAttention, TransformerBlock, max_over_map, mean_over_map
from .native_view import OWN_SIZE, PLACED, NativeView, both_ways, look, place
from .spectral_stem import GROUPS, SpectralStem, convolution
from .tone_path import TonePath

MAP_SIDE = 8


class NativeRouterOutput(NamedTuple):
    """The verdict on a batch of B photos for K operations with L degree levels."""

    presence_logits: Tensor  # B K
    degree_logits: Tensor  # B K L, levels spread evenly over (0, 1], given that it is present
    location_logits: Tensor  # B K 16 16, where each operation acted

    @property
    def probabilities(self) -> Tensor:
        """Probability that each operation was applied, B K in [0, 1]."""
        return self.presence_logits.sigmoid()

    @property
    def degrees(self) -> Tensor:
        """Expected degree of each operation given that it was applied, B K in (0, 1]."""
        return self._distribution() @ self._levels()

    @property
    def spreads(self) -> Tensor:
        """Standard deviation of that degree, B K."""
        square = self._distribution() @ self._levels().square()
        return (square - self.degrees.square()).clamp_min(0).sqrt()

    def mean_of_both_ways(self) -> "NativeRouterOutput":
        """The mean of the logits on B / 2 photos and, after them, their mirror images."""
        presence, degree, location = (torch.stack(logits.chunk(2)) for logits in self)
        location = torch.stack((location[0], location[1].flip(-1)))
        return NativeRouterOutput(*(each.mean(0) for each in (presence, degree, location)))

    def _distribution(self) -> Tensor:
        return self.degree_logits.float().softmax(dim=-1)

    def _levels(self) -> Tensor:
        count = self.degree_logits.shape[-1]
        return torch.arange(1, count + 1, device=self.degree_logits.device).float() / count


def normalise_by_groups(network: nn.Module) -> None:
    """Exchanges batch for group normalisation in all layers.

    Training batches hold versions of few faces, and what a batch has in common would tell the
    answer.
    """
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.BatchNorm2d):
            setattr(network, name, nn.GroupNorm(GROUPS, layer.num_features))
        else:
            normalise_by_groups(layer)


class NativeStem(nn.Module):
    """Traces and the small colour image on one grid, B C 16 16.

    The traces are seen twice: as they are, and less their mean over the photo, since what was done
    to the whole file (camera, compression, resizing) lies in the mean.

    Args:
        width: channels of the result.
        colour_width: channels of the first convolution over the colour image.
        spectral_width: channels within the path of block spectra and finest details; 0 = none.
    """

    def __init__(self, width: int, colour_width: int, spectral_width: int) -> None:
        super().__init__()
        self.standardization = nn.BatchNorm2d(PLACED, affine=False)
        self.traces = nn.Sequential(
            convolution(2 * PLACED, width, side=1), convolution(width, width, 2)
        )
        self.colour = nn.Sequential(
            convolution(3, colour_width, 2),
            convolution(colour_width, 2 * colour_width, 2),
            convolution(2 * colour_width, width, 2),
        )
        self.join = convolution(2 * width, width, side=1)
        self.spectral = SpectralStem(spectral_width, width) if spectral_width else None

    def standardized(self, view: NativeView) -> Tensor:
        """The traces of a view with their places, B `PLACED` 32 32."""
        return self.standardization(place(view.traces, view.side))

    def forward(self, view: NativeView, traces: Tensor) -> Tensor:
        """A view and its standardised traces -> B C 16 16."""
        local = 2 * (traces - traces.mean((2, 3), keepdim=True))
        traces = self.traces(torch.cat((traces, local), dim=1))
        joined = self.join(torch.cat((traces, self.colour(view.colour)), dim=1))
        return joined if self.spectral is None else joined + self.spectral(view)


class NativeRouter(ModelMixin, ConfigMixin):
    """Photo at its own size -> presence and degree of each operation (multi-label).

    Args:
        operations: names, in the order of the outputs.
        thresholds: presence probability above which each operation counts as found; calibrated.
        stem_width: channels of the stem's result.
        colour_width: channels of the stem's first convolution over the colour image.
        hidden_sizes: channels of the trunk's stages; the first works on a 16 x 16 grid.
        depths: residual blocks of each stage.
        group_tokens: group tokens of each stage.
        token_width: width of the tokens that the transformer sees.
        token_side: image tokens of a stage are pooled to at most this many a side.
        heads: attention heads.
        layers: transformer blocks.
        degree_levels: number of degree levels, spread evenly over (0, 1].
        map_width: channels of the 8 x 8 map that the position-aware head reads.
        tone_width: channels of the path that reads tone without normalising it; 0 = there is none.
        spectral_width: channels of the path that reads block spectra and the finest details; 0 =
            there is none.
        parts_width: width of the features of the parts of the face, see `FaceParts`; 0 = there are
            none.
        finder_width: channels of what finds these parts.
        dropout: share of the pooled features dropped in training.
        temperature: what presence logits are divided by; calibrated.
        bias: what is added to them then, one for each operation; calibrated.
        smallest_side: shorter side in pixels below which it cannot know of an operation, None where
            there is no such bound; measured.
        smallest_quality: likewise the JPEG quality, as it shows in the pixels; measured.
        mirrored: whether a verdict is the mean of the logits of a photo and its mirror image.
        degree_temperature: what degree logits are divided by where degrees are drawn; calibrated.
        degree_mixing: the share of `degree_prior` in what they are then drawn from; calibrated.
        degree_prior: how often each degree level occurs, for each operation; calibrated.
        sample_gain: what the edits at a drawn degree are multiplied by, for each operation, since
            experts undo less than the degree that they are told; calibrated.
        degree_told: what part of the router's degree the expert of each operation is told where the
            caller tells none; None where it does better without one; measured.
        spread_scale: what samples of each operation's degree differ by is multiplied by this to be
            an error; calibrated.
    """

    @register_to_config
    def __init__(
        self,
        operations: tuple[str, ...],
        thresholds: tuple[float, ...] | None = None,
        stem_width: int = 48,
        colour_width: int = 16,
        hidden_sizes: tuple[int, ...] = (48, 72, 112),
        depths: tuple[int, ...] = (1, 1, 1),
        group_tokens: int = 8,
        token_width: int = 96,
        token_side: int = 8,
        heads: int = 4,
        layers: int = 1,
        degree_levels: int = 8,
        map_width: int = 8,
        tone_width: int = 0,
        spectral_width: int = 0,
        parts_width: int = 0,
        finder_width: int = 8,
        dropout: float = 0.3,
        temperature: tuple[float, ...] | None = None,
        bias: tuple[float, ...] | None = None,
        smallest_side: tuple[int | None, ...] | None = None,
        smallest_quality: tuple[int | None, ...] | None = None,
        mirrored: bool = False,
        degree_temperature: tuple[float, ...] | None = None,
        degree_mixing: tuple[float, ...] | None = None,
        degree_prior: tuple[tuple[float, ...], ...] | None = None,
        sample_gain: tuple[float, ...] | None = None,
        spread_scale: tuple[float, ...] | None = None,
        degree_told: tuple[float | None, ...] | None = None,
    ) -> None:
        super().__init__()
        count = len(operations)
        for name, values in (
            ("thresholds", thresholds),
            ("temperature", temperature),
            ("bias", bias),
            ("smallest_side", smallest_side),
            ("smallest_quality", smallest_quality),
            ("degree_temperature", degree_temperature),
            ("degree_mixing", degree_mixing),
            ("degree_prior", degree_prior),
            ("sample_gain", sample_gain),
            ("spread_scale", spread_scale),
            ("degree_told", degree_told),
        ):
            if values is not None and len(values) != count:
                raise ValueError(f"{len(values)} {name} came for {count} operations")
        for name, divisors in (
            ("temperature", temperature),
            ("degree_temperature", degree_temperature),
        ):
            if divisors is not None and min(divisors) <= 0:
                raise ValueError(f"{name} is {tuple(divisors)}; expected numbers above 0")
        if thresholds is None:
            self.register_to_config(thresholds=(0.5,) * count)
        config = ResNetConfig(
            embedding_size=stem_width,
            hidden_sizes=list(hidden_sizes),
            depths=list(depths),
            layer_type="basic",
            out_features=[f"stage{i + 1}" for i in range(len(depths))],  # pyright: ignore
        )
        self.trunk = ResNetBackbone(config)
        normalise_by_groups(self.trunk)
        self.trunk.embedder = NativeStem(stem_width, colour_width, spectral_width)
        self.granularities = nn.ModuleList(
            GranularityAttention(width, token_width, group_tokens, heads, token_side)
            for width in hidden_sizes
        )
        self.scale_embedding = nn.Parameter(torch.randn(len(depths), token_width) * 0.02)
        self.locate = nn.Conv2d(hidden_sizes[0], count, 1)
        self.map = nn.Conv2d(sum(hidden_sizes), map_width, 1)
        pooled_width = 2 * (sum(hidden_sizes) + count) + map_width * MAP_SIDE**2
        self.drop = nn.Dropout(dropout)
        self.operation_tokens = nn.Linear(pooled_width, count * token_width)
        self.direct_head = nn.Linear(pooled_width, count * (1 + degree_levels))
        self.transformer = nn.ModuleList(
            TransformerBlock(token_width, heads) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(token_width)
        self.head = nn.Linear(token_width, 1 + degree_levels)
        nn.init.zeros_(self.head.weight)
        if tone_width:
            self.tone = TonePath(tone_width)
            self.tone_head = nn.Linear(self.tone.size, count * (1 + degree_levels))
            nn.init.zeros_(self.tone_head.weight)
        if parts_width:
            self.parts = FaceParts(finder_width, parts_width)
            self.parts_head = nn.Linear(parts_width, count * (1 + degree_levels))
            nn.init.zeros_(self.parts_head.weight)
            nn.init.zeros_(self.parts_head.bias)
        self.size_requirements = OWN_SIZE

    @property
    def standardizations(self) -> dict[str, nn.BatchNorm2d]:
        """What standardises the measures of a view, by the name of what it standardises."""
        layers = {"traces": self.stem.standardization}
        spectral = self.stem.spectral
        return layers if spectral is None else layers | spectral.standardizations

    @property
    def stem(self) -> NativeStem:
        """What makes features of a view."""
        return cast(NativeStem, self.trunk.embedder)

    def forward(self, photo: Tensor) -> NativeRouterOutput:
        """Photo B 3 H W in [-1, 1] at its own size, whatever the weights' dtype -> the verdict."""
        return self.judge(look(photo.float()))

    def judge(self, view: NativeView) -> NativeRouterOutput:
        """The verdict on what `look` saw."""
        if self.config.mirrored and not self.training:
            return self._judge(both_ways(view)).mean_of_both_ways()
        return self._judge(view)

    def _judge(self, view: NativeView) -> NativeRouterOutput:
        if self.map.weight.dtype != view.traces.dtype:  # `self.dtype` looks through all layers
            dtype = self.dtype
            view = NativeView(*(field.to(dtype) for field in view))
        traces = self.stem.standardized(view)
        features = self.stem(view, traces)
        stages = self.trunk.encoder(features, output_hidden_states=True).hidden_states[1:]
        location = self.locate(stages[0])
        pooled = [location.sigmoid(), *stages]
        pooled = [pool(each) for each in pooled for pool in (mean_over_map, max_over_map)]
        joined = torch.cat([F.adaptive_avg_pool2d(each, MAP_SIDE) for each in stages], dim=1)
        features = self.drop(torch.cat((*pooled, self.map(joined).flatten(1)), dim=1))

        count = location.shape[1]
        tokens = [self.operation_tokens(features).unflatten(1, (count, -1))]
        for stage, attention, scale in zip(
            stages, self.granularities, self.scale_embedding, strict=True
        ):
            tokens.append(attention(stage) + scale)
        sequence = torch.cat(tokens, dim=1)
        for block in self.transformer:
            sequence = block(sequence)
        answer = self.head(self.norm(sequence[:, :count]))
        direct = self.direct_head(features)
        if self.config.tone_width:
            direct = direct + self.tone_head(self.drop(self.tone(view.colour)))
        if self.config.parts_width:
            direct = direct + self.parts_head(self.drop(self._look_at_parts(view, traces)))
        answer = answer + direct.unflatten(1, (count, -1))
        return NativeRouterOutput(self._calibrated(answer[..., 0]), answer[..., 1:], location)

    def _look_at_parts(self, view: NativeView, traces: Tensor) -> Tensor:
        spectral, spectrum = self.stem.spectral, view.spectrum
        if spectral is not None:
            spectrum = spectral.spectrum_standardization(spectrum)
        return self.parts(view, traces[:, :CHANNELS], spectrum)

    def _calibrated(self, logits: Tensor) -> Tensor:
        if self.training:
            return logits
        temperature, bias = self.config.temperature, self.config.bias
        if temperature is not None:
            logits = logits / logits.new_tensor(temperature)
        return logits if bias is None else logits + logits.new_tensor(bias)
