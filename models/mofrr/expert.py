"""WaveFRR, a specialised expert of MoFRR: undoes one retouching operation by its wavelet bands.

The paper's expert (ICCV 2025, section "WaveFRR"): a degree estimator, IDEM and a conditional DDIM
on the low band, HFCAM on the high bands. Added here: a warp head that moves structure back or a
tone head that takes light and colour back, before the rest sees the bands, and corrections scaled
by the degree, so that degree 0 is the identity.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin, UNet2DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

LOW_SCALE = 4.0  # the orthonormal LL2 band of an image in [-1, 1] spans [-4, 4]
TRACES = 33  # planes of `retouching_traces`


class ExpertCondition(NamedTuple):
    """What an expert knows of a photo, fixed over the denoising steps (padded sizes, see `pad`)."""

    warped: Tensor  # B 3 H' W', the photo after the warp head
    flow: Tensor  # B 2 H' W', pixels (x, y), backward; zeros without a warp head
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


class DenoiserOutput(NamedTuple):
    """One denoising step."""

    prediction: (
        Tensor  # B 3 h w: the clean low band / 4, or the noise with prediction_type="epsilon"
    )
    idem_residual: Tensor | None  # B 3 h w: IDEM's estimate of clean minus retouched low band / 4


class ExpertOutput(NamedTuple):
    """A restored photo, taken apart: image = warp(photo, flow) + residual."""

    warped: Tensor  # B 3 H W
    flow: Tensor  # B 2 H W, pixels (x, y), backward
    residual: Tensor  # B 3 H W

    @property
    def image(self) -> Tensor:
        """B 3 H W, around [-1, 1], not clamped."""
        return self.warped + self.residual


# ---------------------------------------------------------------------------------------------
# Wavelets. Orthonormal Haar by slices; any other wavelet through pytorch_wavelets.


def haar_analysis(image: Tensor) -> tuple[Tensor, Tensor]:
    """One level of the orthonormal Haar transform.

    Args:
        image: B C H W, H and W even.

    Returns:
        The low band B C H/2 W/2 and the details B C 3 H/2 W/2 in PyWavelets' order
        (horizontal, vertical, diagonal).
    """
    a, b = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    c, d = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    top, bottom, top_step, bottom_step = a + b, c + d, a - b, c - d
    details = (top - bottom, top_step + bottom_step, top_step - bottom_step)
    return (top + bottom).div_(2), torch.stack(details, dim=2).div_(2)


def haar_synthesis(low: Tensor, details: Tensor) -> Tensor:
    """The inverse of `haar_analysis`: B C h w and B C 3 h w -> B C 2h 2w."""
    horizontal, vertical, diagonal = details.unbind(dim=2)
    top, bottom = low + horizontal, low - horizontal
    top_step, bottom_step = vertical + diagonal, vertical - diagonal
    rows = torch.stack((top + top_step, top - top_step), dim=-1).flatten(-2)
    next_rows = torch.stack((bottom + bottom_step, bottom - bottom_step), dim=-1).flatten(-2)
    return torch.stack((rows, next_rows), dim=-2).flatten(-3, -2).div_(2)


class WaveletTransform(nn.Module):
    """One level of a two-dimensional wavelet transform, forward and inverse, in float32."""

    def __init__(self, wavelet: str = "haar") -> None:
        super().__init__()
        self.is_haar = wavelet in ("haar", "db1")
        if not self.is_haar:
            try:
                from pytorch_wavelets import DWTForward, DWTInverse
            except ImportError as error:
                message = f"wavelet {wavelet!r} needs pytorch_wavelets: pip install 'frr[wavelets]'"
                raise ImportError(message) from error
            self.forward_transform = DWTForward(J=1, wave=wavelet, mode="periodization")
            self.inverse_transform = DWTInverse(wave=wavelet, mode="periodization")

    def analysis(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """B C H W -> low B C H/2 W/2, details B C 3 H/2 W/2."""
        if self.is_haar:
            return haar_analysis(image)
        low, (details,) = self.forward_transform(image.float())
        return low.to(image.dtype), details.to(image.dtype)

    def synthesis(self, low: Tensor, details: Tensor) -> Tensor:
        """The inverse of `analysis`."""
        if self.is_haar:
            return haar_synthesis(low, details)
        return self.inverse_transform((low.float(), [details.float()])).to(low.dtype)


# ---------------------------------------------------------------------------------------------
# Geometry


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Samples `image` at p + flow(p), bilinear, edge pixels repeated outside.

    Args:
        image: B C H W.
        flow: B 2 H W, pixels, channel 0 = x, channel 1 = y.

    Returns:
        B C H W. A flow of zeros gives the image back to the bit.
    """
    height, width = image.shape[-2:]
    flow = flow.float()
    rows = torch.arange(height, device=flow.device, dtype=torch.float32)
    columns = torch.arange(width, device=flow.device, dtype=torch.float32)
    across, down = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    x = flow[:, 0].add(columns).mul_(across).sub_(1)
    y = flow[:, 1].add(rows[:, None]).mul_(down).sub_(1)
    grid = torch.stack((x, y), dim=-1)
    moved = F.grid_sample(image.float(), grid, padding_mode="border", align_corners=True)
    still = (flow[:, :1] == 0) & (flow[:, 1:] == 0)
    return torch.where(still, image.float(), moved).to(image.dtype)


def upsample_flow(flow: Tensor, photo: Tensor) -> Tensor:
    """A flow in pixels of `photo` on a coarser grid, B 2 h w -> B 2 H W, bilinear."""
    return F.interpolate(flow.float(), size=photo.shape[-2:], mode="bilinear").to(flow.dtype)


def pad(photo: Tensor, multiple: int) -> Tensor:
    """Repeats the last row and column until both sides are multiples of `multiple`."""
    height, width = photo.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(photo, (0, right, 0, bottom), mode="replicate") if bottom or right else photo


def as_plane(degree: Tensor, like: Tensor) -> Tensor:
    """A degree per image, B -> B 1 h w, constant over the plane of `like`."""
    plane = degree.to(like.dtype).reshape(-1, 1, 1, 1)
    return plane.expand(-1, 1, *like.shape[-2:])


# ---------------------------------------------------------------------------------------------
# Degree estimator: which of the paper's five levels, softened to an expected degree.


def local_log_energy(bands: Tensor, radius: int) -> Tensor:
    """Half the log of each band's mean square within `radius`, about zero mean and unit variance.

    B C h w -> B C h w; nothing lies outside the bands. (A convolution by ones, channels last, is
    ten times as quick as average pooling.)
    """
    energy = bands.square()
    if radius:
        side, (height, width) = 2 * radius + 1, bands.shape[-2:]
        line = energy.new_ones(1, 1, side)
        rows, columns = (
            F.conv1d(energy.new_ones(1, 1, length), line, padding=radius)[0, 0]
            for length in (height, width)
        )  # how many of the window's lie within the bands
        window = energy.new_ones(energy.shape[1], 1, side, side)
        energy = energy.contiguous(memory_format=torch.channels_last)
        energy = F.conv2d(energy, window, padding=radius, groups=len(window))
        energy = energy.div_(rows[:, None] * columns)
    return energy.add_(3e-5).log_().div_(2).add_(3)


def retouching_traces(photo: Tensor) -> Tensor:
    """Local log energies of three levels of details, the low band, and the position in the crop.

    Smoothing shrinks details and resampling the diagonal ones most, in proportion: where and how
    much is read from logarithms, whatever the texture. (As in the router, whose file stands alone.)

    Args:
        photo: B 3 H W in [-1, 1], H and W divisible by 8.

    Returns:
        B 33 H/8 W/8.
    """
    red, green, blue = photo.unbind(dim=1)
    low = torch.stack((photo.mean(dim=1), red - green, blue - green), dim=1)
    planes = []
    for level in range(3):
        low, details = haar_analysis(low)
        bands = details.transpose(1, 2).flatten(1, 2)  # band by band, as in the router
        energy = local_log_energy(bands / 2**level, 2 - level)
        planes.append(F.avg_pool2d(energy, 4 >> level))
    rows = torch.linspace(-1, 1, low.shape[-2], device=photo.device, dtype=photo.dtype)[:, None]
    columns = torch.linspace(-1, 1, low.shape[-1], device=photo.device, dtype=photo.dtype)
    position = torch.stack(torch.broadcast_tensors(rows, columns, rows**2 + columns**2))
    return torch.cat((*planes, low / 8, position.expand(len(photo), -1, -1, -1)), dim=1)


class TraceStem(nn.Module):
    """One convolution over the standardised traces."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(TRACES, width, 3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(width)

    def forward(self, traces: Tensor) -> Tensor:
        """B 33 h w -> B C h w."""
        return F.relu(self.normalization(self.convolution(traces)))


class DegreeEstimator(nn.Module):
    """ResNet over the traces; its stages, mean and max pooled, choose one of `levels` degrees."""

    def __init__(self, resnet: dict, levels: int) -> None:
        super().__init__()
        widths = resnet["hidden_sizes"]
        stages = [f"stage{i + 1}" for i in range(len(widths))]
        config = ResNetConfig(**resnet, out_features=stages)  # pyright: ignore
        self.trunk = ResNetBackbone(config)
        self.trunk.embedder = TraceStem(config.embedding_size)
        self.head = nn.Linear(2 * sum(widths), levels)
        nn.init.zeros_(self.head.weight)

    def forward(self, traces: Tensor) -> Tensor:
        """Standardised traces B 33 h w -> logits B L."""
        maps = self.trunk(traces).feature_maps
        pooled = [f for x in maps for f in (x.mean(dim=(2, 3)), x.amax(dim=(2, 3)))]
        return self.head(torch.cat(pooled, dim=1))


# ---------------------------------------------------------------------------------------------
# Warp head and tone head: small U-Nets on the grid of the traces


def convolve(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class CoarseHead(nn.Module):
    """A U-Net that sees a photo on a grid of 8 x 8 pixels, its last convolution zero."""

    def __init__(self, in_channels: int, out_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = convolve(in_channels, widths[0])
        self.residuals = nn.ModuleList(
            nn.Sequential(convolve(w, w), nn.Conv2d(w, w, 3, padding=1)) for w in widths
        )
        self.down = nn.ModuleList(convolve(fine, coarse, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(convolve(coarse + fine, fine) for fine, coarse in pairs)
        self.context = nn.Linear(2 * widths[-1], widths[-1])
        self.out = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, planes: Tensor) -> Tensor:
        """B C h w -> B C' h w."""
        features, skips = self.stem(planes), []
        for level, residual in enumerate(self.residuals):
            if level:
                features = self.down[level - 1](features)
            features = F.relu(features + residual(features))
            skips.append(features)
        pooled = torch.cat((features.mean(dim=(2, 3)), features.amax(dim=(2, 3))), dim=1)
        features = features + self.context(pooled)[:, :, None, None]
        for skip, up in zip(reversed(skips[:-1]), reversed(self.up), strict=True):
            features = F.interpolate(features, size=skip.shape[-2:], mode="bilinear")
            features = up(torch.cat((features, skip), dim=1))
        return self.out(features)


# ---------------------------------------------------------------------------------------------
# Low band: IDEM and the conditional denoiser


class ChannelAttention(nn.Module):
    """Multi-scale channel attention (MS-CAM of iAFF): weights in (0, 1), B C h w."""

    def __init__(self, width: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(width // reduction, 4)
        self.local_context, self.global_context = (
            nn.Sequential(
                nn.Conv2d(width, hidden, 1),
                nn.GroupNorm(1, hidden),
                nn.ReLU(),
                nn.Conv2d(hidden, width, 1),
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Sum of a local and a global context, through a sigmoid."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.local_context(features) + self.global_context(pooled))


class IDEM(nn.Module):
    """Iterative distortion estimation: where and how much the low band was changed.

        F  = MCA(z + x_LL) * x_LL + (1 - MCA(z + x_LL)) * z
        R^ = MCA(F + y_t)  * y_t  + (1 - MCA(F + y_t))  * F

    on features of z, x_LL and y_t; R^ is projected back to three channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.low_features = nn.Conv2d(3, width, 3, padding=1)
        self.noisy_features = nn.Conv2d(3, width, 3, padding=1)
        self.degree_features = nn.Sequential(
            nn.Conv2d(1, width, 1), nn.SiLU(), nn.Conv2d(width, width, 1)
        )
        self.degree_attention = ChannelAttention(width)
        self.noisy_attention = ChannelAttention(width)
        self.projection = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, degree_plane: Tensor, low: Tensor, noisy_low: Tensor) -> Tensor:
        """Degree B 1 h w, low bands B 3 h w -> R^ B 3 h w, trained to clean minus retouched."""
        z, x = self.degree_features(degree_plane), self.low_features(low)
        y = self.noisy_features(noisy_low)
        weight = self.degree_attention(z + x)
        fused = weight * x + (1 - weight) * z
        weight = self.noisy_attention(fused + y)
        return self.projection(weight * y + (1 - weight) * fused)


def make_unet(
    in_channels: int, out_channels: int, widths: tuple[int, ...], layers: int, attention: tuple
) -> UNet2DModel:
    """A diffusers U-Net with attention at the given levels, its last convolution zero."""
    levels = range(len(widths))
    down = tuple("AttnDownBlock2D" if i in attention else "DownBlock2D" for i in levels)
    up = tuple("AttnUpBlock2D" if i in attention else "UpBlock2D" for i in reversed(levels))
    unet = UNet2DModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=down,
        up_block_types=up,
        norm_num_groups=min(32, max(8, widths[0] // 8)),
        attention_head_dim=None,
    )
    for parameter in unet.conv_out.parameters():
        nn.init.zeros_(parameter)
    return unet


# ---------------------------------------------------------------------------------------------
# High bands


class HFCAM(nn.Module):
    """High-frequency cross attention of one level: y_H = x_H + Conv(CrossAttn(y_0, x_H)).

    Queries come from the restored low band and its change, keys and values from the details,
    inside windows of `window` x `window` positions (scaled dot product attention).
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query = nn.Conv2d(7, width, 3, padding=1)
        self.key_value = nn.Conv2d(9, 2 * width, 3, padding=1)
        self.tail = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv2d(width, 9, 3, padding=1),
        )
        for parameter in self.tail[-1].parameters():
            nn.init.zeros_(parameter)

    def windows(self, features: Tensor) -> Tensor:
        """B C h w -> B * windows, heads, positions, C / heads."""
        batch, channels, height, width = features.shape
        side = self.window
        grid = features.reshape(
            batch, self.heads, channels // self.heads, height // side, side, width // side, side
        )
        return grid.permute(0, 3, 5, 1, 4, 6, 2).reshape(
            -1, self.heads, side * side, channels // self.heads
        )

    def unwindow(self, tokens: Tensor, like: Tensor) -> Tensor:
        """The inverse of `windows`."""
        batch, _, height, width = like.shape
        side = self.window
        grid = tokens.reshape(batch, height // side, width // side, self.heads, side, side, -1)
        return grid.permute(0, 3, 6, 1, 4, 2, 5).reshape(like.shape)

    def forward(self, low: Tensor, photo_low: Tensor, details: Tensor, degree: Tensor) -> Tensor:
        """The change of the details, B 3 3 h w, from the low band before and after (B 3 h w)."""
        height, width = low.shape[-2:]
        condition = torch.cat((low, (low - photo_low) * 4, as_plane(degree, low)), dim=1)
        query = pad(self.query(condition), self.window)
        key, value = pad(self.key_value(details.flatten(1, 2)), self.window).chunk(2, dim=1)
        attended = F.scaled_dot_product_attention(
            self.windows(query), self.windows(key), self.windows(value)
        )
        features = torch.cat((self.unwindow(attended, query), query), dim=1)
        change = self.tail(features[..., :height, :width]).reshape(details.shape)
        return change * degree.to(change.dtype).reshape(-1, 1, 1, 1, 1)


# ---------------------------------------------------------------------------------------------
# The expert


class WaveFRRExpert(ModelMixin, ConfigMixin):
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
        if prediction_type not in ("sample", "epsilon"):
            raise ValueError(
                f"prediction_type is {prediction_type!r}; expected 'sample' or 'epsilon'"
            )
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
        self.size_multiple = max(8, 4 * 2 ** (len(denoiser_channels) - 1))

    @property
    def has_coarse_head(self) -> bool:
        """Whether there is a warp head or a tone head, which see the photo's traces."""
        return self.config.has_warp_head or self.config.has_tone_head

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape (3, h, w) of the low band on which a photo of this size is denoised."""
        multiple = self.size_multiple
        return 3, -(-height // multiple) * multiple // 4, -(-width // multiple) * multiple // 4

    def raw_traces(self, photo: Tensor) -> Tensor:
        """`retouching_traces`: they hang on the photo alone, so that experts can share them."""
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
        return self.estimate_degree_from(self.traces(pad(photo, 8), raw))

    def estimate_degree_from(self, traces: Tensor) -> tuple[Tensor, Tensor]:
        """The same from standardised traces B 33 h w."""
        logits = self.degree_estimator(traces)
        levels = torch.arange(1, logits.shape[1] + 1, device=logits.device) / logits.shape[1]
        return logits, logits.softmax(dim=1) @ levels.to(logits.dtype)

    def bands(self, photo: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Two-level transform: LL2 / 4, and the details of level 2 and of level 1."""
        low, fine = self.transform.analysis(photo)
        low, coarse = self.transform.analysis(low)
        return low / LOW_SCALE, (coarse, fine)

    def prepare(
        self, photo: Tensor, degree: Tensor | None = None, raw: Tensor | None = None
    ) -> ExpertCondition:
        """Everything the denoising steps need of a photo.

        Args:
            photo: B 3 H W in [-1, 1], any size.
            degree: B, in [0, 1]; None lets the degree estimator decide.
            raw: `raw_traces` of the photo padded to multiples of `size_multiple`, where known.
        """
        if degree is None:
            _, degree = self.estimate_degree(photo)
        size = (photo.shape[-2], photo.shape[-1])
        warped = pad(photo, self.size_multiple)
        low, details = self.bands(warped)
        flow = warped.new_zeros(1).expand(len(warped), 2, *warped.shape[-2:])
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
        planes = (condition.warped, condition.flow, residual)
        return ExpertOutput(*(plane[..., :height, :width] for plane in planes))

    def reconstruct(self, low: Tensor, condition: ExpertCondition) -> ExpertOutput:
        """Restored photo from the clean low band B 3 h w (LL2 / 4)."""
        coarse, fine = self.refine_details(low, condition)
        return self.reconstruct_changes(low, coarse, fine, condition)

    def forward(
        self,
        photo: Tensor,
        degree: Tensor | None = None,
        latents: Tensor | None = None,
        timestep: Tensor | int = 999,
    ) -> ExpertOutput:
        """The estimate of one step from `latents` (default zeros); photo B 3 H W in [-1, 1]."""
        condition = self.prepare(photo, degree)
        if latents is None:
            latents = torch.zeros_like(condition.low)
        low = self.denoise(latents, timestep, condition).prediction
        return self.reconstruct(low, condition)
