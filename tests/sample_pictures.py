"""Makes the pictures in `samples/`: `python tests/sample_pictures.py`.

All are scikit-image's astronaut (Eileen Collins, photographed by NASA, public domain), retouched by
the package's own simulator. The film needs PyAV, which ComfyUI brings.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from frr.commands.demo import EYES, MOUTH, portrait
from frr.pipelines.photos.drawings import to_picture, to_tensor
from frr.pipelines.photos.faces import align_points, crop
from frr.pipelines.simulate.blemishes.painter import paint, sample_blemishes
from frr.pipelines.simulate.recipe import Recipe, Step
from frr.pipelines.simulate.simulator import retouch

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SIDE, FILM_SIDE, FRAMES, RATE = 384, 256, 24, 12
MESH = (468, 473, 61, 291)  # centres of the eyes and corners of the mouth
STRONG = Recipe(
    (
        Step("whitening", "log_curve", 1.0),
        Step("smoothing", "surface_blur", 0.9),
        Step("eye_enlarging", "radial", 1.0),
    )
)
SLIMMED = Recipe((Step("face_slimming", "local_pulls", 1.0), Step("eye_enlarging", "radial", 1.0)))


def retouched(picture: Image.Image, recipe: Recipe = STRONG) -> Image.Image:
    """A portrait by a recipe."""
    return to_picture(retouch(tensor(picture), [recipe]).image[0])


def blemished(picture: Image.Image) -> Image.Image:
    """A portrait with painted blemishes."""
    chosen = sample_blemishes(np.random.default_rng(3))
    return to_picture(paint(tensor(picture), [chosen], by_kind=False).image[0])


def holed(picture: Image.Image) -> Image.Image:
    """A portrait with holes in its alpha channel, which Load Image gives as a mask."""
    scale = picture.width / 256
    y, x = np.mgrid[: picture.height, : picture.width] / scale
    hole = (np.hypot((x - 100) / 24, (y - 165) / 12) < 1) | (np.hypot(x - 150, y - 218) < 10)
    result = picture.convert("RGBA")
    result.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)))
    return result


def group() -> Image.Image:
    """Three people side by side: untouched, retouched strongly, slimmed and mirrored."""
    plain = portrait(SIDE)
    slim = retouched(plain, SLIMMED).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    photo = Image.new("RGB", (3 * SIDE, SIDE))
    for place, face in enumerate((plain, retouched(plain), slim)):
        photo.paste(face, (place * SIDE, 0))
    return photo


def film() -> list[Image.Image]:
    """Frames in which a retouched face comes a little nearer."""
    from skimage import data

    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    frames = []
    for place in range(FRAMES):
        points = torch.tensor((*EYES, *MOUTH))
        alignment = align_points(points, MESH, margin=1.12 - 0.08 * place / FRAMES)
        frames.append(retouched(to_picture(crop(photo, [alignment], FILM_SIDE)[0] * 2 - 1)))
    return frames


def save_film(frames: list[Image.Image], file: Path) -> None:
    """Write frames as a film."""
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "16"})
        stream.width = stream.height = FILM_SIDE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def pictures() -> dict[str, Image.Image]:
    """The pictures by their file's name."""
    plain = portrait(SIDE)
    return {
        "frr_portrait.png": plain,
        "frr_retouched.png": retouched(plain),
        "frr_blemished.png": blemished(plain),
        "frr_holes.png": holed(plain),
        "frr_group.png": group(),
    }


def tensor(picture: Image.Image) -> torch.Tensor:
    """A picture as 1 3 H W in [-1, 1]."""
    return to_tensor(picture)


if __name__ == "__main__":
    for name, picture in pictures().items():
        picture.save(SAMPLES / name, optimize=True)
    (SAMPLES / "frr_batch").mkdir(exist_ok=True)
    for name in ("portrait", "retouched"):
        content = (SAMPLES / f"frr_{name}.png").read_bytes()
        (SAMPLES / "frr_batch" / f"{name}.png").write_bytes(content)
    save_film(film(), SAMPLES / "frr_clip.mp4")
