"""TextureDiffusion: texture where smoothing took it, drawn by a conditional DDIM on Haar bands.

What a texture expert leaves is the difference between a photo before smoothing and its answer, the
mean of all that may have been. It is drawn here: each of its Haar bands is divided by its own
scale, which is predicted place by place, and what is left, of unit spread, is what is denoised.
IDEM and the conditional DDIM keep the form of the paper (ICCV 2025, section "WaveFRR") on these
quantities: x are the photo's bands, y_t is the noisy remainder, and R^ estimates the clean one.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor, nn

from ..wavelets import haar_analysis, haar_synthesis
from .idem import IDEM

BANDS = 12  # the low band and three details of each colour
TIMESTEPS = 1000
LEAST, MOST = 0.03, 20.0
"""Spread of the noise in units of the remainder's own, at the first and the last timestep."""
FLOOR = 0.003
"""Least scale of a band: what is below hardly survives 8 bits."""
GAIN = 10.0  # details are a tenth of the low band
WAVES = 4
_OPPONENTS = torch.tensor(
    [[3**-0.5] * 3, [2**-0.5, 0, -(2**-0.5)], [6**-0.5, -2 * 6**-0.5, 6**-0.5]]
)
_DILATIONS = (1, 2, 4, 1)


class TextureCondition(NamedTuple):
    """What is known of a photo, fixed over the denoising steps."""

    seen: Tensor  # B 36 h w: the photo's bands, the expert's change, and the scale
    photo: Tensor  # B 12 h w, the photo's bands
    scale: Tensor  # B 12 h w, of the remainder's bands
    degree: Tensor  # B


class TextureDiffusion(nn.Module):
    """Draws what a texture expert leaves. At initialisation it knows a scale and no structure.

    Args:
        width: channels at half the photo's sides.
        idem_width: channels of IDEM's features.
    """

    def __init__(self, width: int, idem_width: int = 16) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.Conv2d(2 * BANDS + 1, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=4, dilation=4),
            nn.SiLU(),
            last := nn.Conv2d(width, BANDS, 1),
        )
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.constant_(last.bias, math.log(0.02))
        self.idem = IDEM(idem_width, BANDS)
        self.entry = nn.Conv2d(5 * BANDS, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=step, dilation=step) for step in _DILATIONS
        )
        self.mixing = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in _DILATIONS)
        self.noise = nn.Sequential(
            nn.Linear(2 * WAVES + 2, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, 2 * width * len(_DILATIONS)),
        )
        self.exit = nn.Conv2d(width, BANDS, 3, padding=1)
        for parameter in self.exit.parameters():
            nn.init.zeros_(parameter)

    def prepare(self, photo: Tensor, change: Tensor, degree: Tensor) -> TextureCondition:
        """All that the steps need.

        Args:
            photo: B 3 H W in [-1, 1], sides even.
            change: B 3 H W, what the expert adds where it is told `degree`.
            degree: B in [0, 1].
        """
        bands, changed = to_bands(photo), to_bands(change)
        low, details = bands[:, :3] / 2, bands[:, 3:] * GAIN
        plane = degree[:, None, None, None].to(bands).expand_as(low[:, :1])
        known = torch.cat((low, details, changed * GAIN, plane), dim=1)
        scale = FLOOR + self.scale(known).clamp(-9, 2).exp()
        sharp = scale.detach()
        seen = torch.cat((low, bands[:, 3:] / sharp[:, 3:], changed / sharp, sharp.log() + 4), 1)
        return TextureCondition(seen, torch.cat((low, details), 1), scale, degree)

    def denoise(
        self, noisy: Tensor, timestep: Tensor, condition: TextureCondition
    ) -> tuple[Tensor, Tensor]:
        """The velocity of noisy bands B 12 h w at timesteps B (Salimans & Ho, ICLR 2022, app. D).

        Returns:
            It, and IDEM's estimate of the clean bands; both B 12 h w.
        """
        plane = condition.degree[:, None, None, None].to(noisy).expand_as(noisy[:, :1])
        residual = self.idem(plane, condition.photo, noisy)
        features = F.silu(self.entry(torch.cat((noisy, condition.seen, residual), dim=1)))
        waves = _waves(timestep.to(noisy) / TIMESTEPS, condition.degree.to(noisy))
        shifts = self.noise(waves)[..., None, None].chunk(len(self.layers), dim=1)
        for layer, mixing, shift in zip(self.layers, self.mixing, shifts, strict=True):
            gain, offset = shift.chunk(2, dim=1)
            features = features + mixing(F.silu(layer(features) * (1 + gain) + offset)) / 2
        return self.exit(features), residual

    def draw(
        self,
        photo: Tensor,
        change: Tensor,
        degree: Tensor,
        noise: Tensor,
        steps: int,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """One remainder of each photo, B 3 H W, by DDIM (eq. 12 of Song et al., ICLR 2021).

        A step turns signal and noise by an angle, and shortens what neither can be told from by its
        cosine: texture would come out too weak, the more so the fewer the steps. Each is made up
        for, which for remainders without structure is exact.

        Args:
            photo: B 3 H W in [-1, 1], sides even.
            change: B 3 H W, what the expert adds.
            degree: B in [0, 1], which the expert was told.
            noise: B 12 H/2 W/2, standard normal.
            steps: of denoising, at least 2: one alone would turn noise into the mean.
            check: called before every step.
        """
        condition = self.prepare(photo, change, degree)
        scheduler = make_schedule()
        scheduler.set_timesteps(steps)
        state = noise.to(condition.scale)
        for timestep, turn in zip(scheduler.timesteps, turns(scheduler), strict=True):
            check()
            velocity = self.denoise(state, timestep.expand(len(state)).to(state.device), condition)
            state = scheduler.step(velocity[0], int(timestep), state, return_dict=False)[0]
            state = state / math.cos(turn)
        return from_bands(state * condition.scale)


def make_schedule() -> DDIMScheduler:
    """The noise: a cosine schedule, from `LEAST` to `MOST` of the remainder's spread.

    Signal and noise are cosine and sine of an angle that grows evenly (Nichol & Dhariwal, ICML
    2021, eq. 17): half of the timesteps lie below the remainder's own spread, where the usual
    schedule on absolute bands has next to none.
    """
    angles = torch.linspace(math.atan(LEAST), math.atan(MOST), TIMESTEPS, dtype=torch.float64)
    kept = angles.cos().square()
    betas = 1 - kept / torch.cat((kept.new_ones(1), kept[:-1]))
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        trained_betas=betas.tolist(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


def turns(scheduler: DDIMScheduler) -> list[float]:
    """The angles of a scheduler's steps, in radians; the last one ends in no noise."""
    angles = scheduler.alphas_cumprod[scheduler.timesteps].double().sqrt().acos().tolist()
    return [before - after for before, after in pairwise([*angles, 0.0])]


def to_bands(image: Tensor) -> Tensor:
    """B 3 H W with even sides -> its Haar bands B 12 H/2 W/2, the low ones first.

    Colours are turned to grey and two differences, an orthonormal basis in which texture is hardly
    correlated: independent noise of red, green and blue would be coloured speckle.
    """
    turned = torch.einsum("ij,bjhw->bihw", _OPPONENTS.to(image), image)
    low, details = haar_analysis(turned)
    return torch.cat((low, details.flatten(1, 2)), dim=1)


def from_bands(bands: Tensor) -> Tensor:
    """The inverse of `to_bands`."""
    turned = haar_synthesis(bands[:, :3], bands[:, 3:].unflatten(1, (3, 3)))
    return torch.einsum("ij,bihw->bjhw", _OPPONENTS.to(turned), turned)


def _waves(time: Tensor, degree: Tensor) -> Tensor:
    """Features B 10 of times and degrees B in [0, 1]."""
    angles = time[:, None] * math.pi * 2.0 ** torch.arange(WAVES, device=time.device)
    return torch.cat((angles.sin(), angles.cos(), time[:, None], degree[:, None]), dim=1)
