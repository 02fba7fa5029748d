"""ToneExpert: undoes whitening by smooth changes of light and colour, and by nothing else."""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .bands import bands
from .coarse_encoder import CoarseEncoder, degree_planes, hedge
from .contract import DirectAnswer
from .native_view import OWN_SIZE, NativeView


class ToneExpert(ModelMixin, ConfigMixin):
    """Undoes a tonal operation: a bilateral grid of affine colour changes.

    Each cell of the grid says for a range of brightness how red, green and blue follow from red,
    green, blue and one: smooth over the face, never texture (HDRnet, SIGGRAPH 2017).

    Args:
        operation: its name.
        widths: channels of the encoder's levels.
        fine: channels of the colour image's features.
        depth: ranges of brightness.
        side: cells along each side of the photo.
        unknown_share: part of the edit that is kept where the degree is not known; calibrated.
        spectral_width: channels of the path that reads block spectra and the finest details; 0 =
            there is none.
    """

    @register_to_config
    def __init__(
        self,
        operation: str = "whitening",
        widths: tuple[int, int, int] = (32, 64, 96),
        fine: int = 16,
        depth: int = 8,
        side: int = 16,
        unknown_share: float = 1.0,
        spectral_width: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = CoarseEncoder(widths, fine, spectral_width)
        self.whole = nn.Sequential(nn.Linear(widths[0], 64), nn.SiLU())
        self.whole_head = nn.Linear(64, 12 * depth)
        self.head = nn.Conv2d(widths[0], 12 * depth, 1)
        for parameter in (*self.whole_head.parameters(), *self.head.parameters()):
            nn.init.zeros_(parameter)
        self.size_requirements = OWN_SIZE

    def answer(self, photo: Tensor, view: NativeView, degree: Tensor | None) -> DirectAnswer:
        """See `DirectExpert`."""
        grid = hedge(self(view, degree), degree, self.config.unknown_share)
        return DirectAnswer(residual=slice_tone(grid.float(), photo.float()))

    def forward(self, view: NativeView, degree: Tensor | None = None) -> Tensor:
        """The grid of changes, B 12 depth side side, to be read by `slice_tone`."""
        features, _ = self.encoder(view, degree_planes(degree, view))
        cells = self.head(F.adaptive_avg_pool2d(features, self.config.side))
        whole = self.whole_head(self.whole(features.mean((2, 3))))
        grid = cells + whole[..., None, None]
        return grid.unflatten(1, (12, self.config.depth))


def slice_tone(grid: Tensor, photo: Tensor) -> Tensor:
    """The change of a photo that a bilateral grid asks for.

    Args:
        grid: B 12 D h w; rows of 3 x 4 matrices on (red, green, blue, 1).
        photo: B 3 H W in [-1, 1].

    Returns:
        B 3 H W, to be added to the photo.
    """
    height, width = photo.shape[-2:]
    rows = torch.linspace(-1, 1, 2 * height + 1, device=photo.device, dtype=photo.dtype)[1::2]
    columns = torch.linspace(-1, 1, 2 * width + 1, device=photo.device, dtype=photo.dtype)[1::2]
    parts = bands(photo)
    if len(parts) == 1:
        return _slice_rows(grid, photo, rows, columns)
    change = torch.empty_like(photo)
    for band in parts:
        change[:, :, band] = _slice_rows(grid, photo[:, :, band], rows[band], columns)
    return change


def _slice_rows(grid: Tensor, photo: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The change of some rows of a photo, whose centres are given as shares, -1 to 1."""
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack((x, y), dim=-1).expand(len(photo), -1, -1, -1)
    guide = photo.mean(dim=1)[..., None]
    at = torch.cat((centres, guide), dim=-1)[:, None]
    matrices = F.grid_sample(grid, at, "bilinear", "border", align_corners=False)[:, :, 0]
    matrices = matrices.unflatten(1, (3, 4))
    return (matrices[:, :, :3] * photo[:, None]).sum(2) + matrices[:, :, 3]
