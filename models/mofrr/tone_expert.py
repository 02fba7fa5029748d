"""ToneExpert: undoes whitening by smooth changes of light and colour, and by nothing else."""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..resampling import line_matrix
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

    Along the photo's height the grid is brought to all rows at once; then each row is read in two
    dimensions, across and by brightness: a third of the time that reading in three takes.

    Args:
        grid: B 12 D h w; rows of 3 x 4 matrices on (red, green, blue, 1).
        photo: B 3 H W in [-1, 1].

    Returns:
        B 3 H W, to be added to the photo.
    """
    height, width = photo.shape[-2:]
    lines = line_matrix(grid.shape[-2], height, "bilinear", grid.device, grid.dtype)
    columns = torch.linspace(-1, 1, 2 * width + 1, device=photo.device, dtype=photo.dtype)[1::2]
    parts = bands(photo)
    if len(parts) == 1:
        return _slice_rows(grid, photo, lines, columns)
    change = torch.empty_like(photo)
    for band in parts:
        change[:, :, band] = _slice_rows(grid, photo[:, :, band], lines[band], columns)
    return change


def _slice_rows(grid: Tensor, photo: Tensor, lines: Tensor, columns: Tensor) -> Tensor:
    """The change of some rows of a photo.

    Args:
        grid: B 12 D h w.
        photo: B 3 R W, the rows.
        lines: R h, what of the grid's rows lies at each of them.
        columns: W, the centres of the columns, -1 to 1.
    """
    count, _, height, width = photo.shape
    rows = lines @ grid.movedim(-2, 1).flatten(2)
    rows = rows.view(count * height, 12, *grid.shape[2::2])
    at = torch.stack((columns.expand(count, height, -1), photo.mean(dim=1)), dim=-1)
    at = at.view(count * height, 1, width, 2)
    read = F.grid_sample(rows, at, "bilinear", "border", align_corners=False)
    matrices = read.view(count, height, 3, 4, width).permute(0, 2, 3, 1, 4)
    change = matrices[:, :, 3].contiguous()
    for colour in range(3):
        change = change.addcmul(matrices[:, :, colour], photo[:, colour : colour + 1])
    return change
