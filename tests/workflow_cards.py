"""Makes the pictures of the example workflows: `python tests/workflow_cards.py`.

Each is what the workflow makes of the sample that it opens on, with the shipped weights, drawn as a
card of a template browser: 480 x 360, few words, faces large enough to compare. After a change of
weights or samples they are made anew.
"""

from collections.abc import Callable, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from sample_pictures import SAMPLES, tensor
from templates import file_of

from frr import BPFRePipeline, MoFRRPipeline, hub
from frr.pipelines.mofrr.request import Request
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.photos.drawings import to_picture
from frr.pipelines.photos.finder import FaceFinder
from frr.pipelines.simulate.recipe import Recipe, Step
from frr.pipelines.simulate.simulator import retouch

WIDTH, HEIGHT, GAP = 480, 360, 3
DONE = ("whitening", "smoothing", "eye_enlarging")  # to the sample, all the way
BY_HAND = {"operations": set(DONE), "degrees": dict.fromkeys(DONE, 1.0)}
Labelled = tuple[str, Image.Image]


def sample(name: str) -> Image.Image:
    """One of the pictures that the workflows open on."""
    return Image.open(SAMPLES / f"frr_{name}.png").convert("RGB")


def covering(picture: Image.Image, width: int, height: int, zoom: float = 1.0) -> Image.Image:
    """The middle of a picture, filling a size."""
    scale = zoom * max(width / picture.width, height / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    large = picture.resize(size, Image.Resampling.LANCZOS)
    return large.crop((left, top, left + width, top + height))


def label(card: Image.Image, words: str, left: int, top: int) -> None:
    """Words on a dark field."""
    draw, font = ImageDraw.Draw(card), ImageFont.load_default(17)
    x0, y0, x1, y1 = draw.textbbox((left + 12, top + 10), words, font=font)
    draw.rectangle((x0 - 7, y0 - 5, x1 + 7, y1 + 5), fill=(20, 20, 20))
    draw.text((left + 12, top + 10), words, font=font, fill="white")


def split(before: Labelled, after: Labelled, zoom: float = 1.0) -> Image.Image:
    """One picture, left of a line as it came, right of it as it became."""
    middle = WIDTH // 2
    card = covering(before[1], WIDTH, HEIGHT, zoom)
    card.paste(
        covering(after[1], WIDTH, HEIGHT, zoom).crop((middle, 0, WIDTH, HEIGHT)), (middle, 0)
    )
    ImageDraw.Draw(card).rectangle((middle - 1, 0, middle + 1, HEIGHT), fill="white")
    label(card, before[0], 0, 0)
    label(card, after[0], middle, 0)
    return card


def grid(pictures: Sequence[Labelled], columns: int, zoom: float = 1.0) -> Image.Image:
    """Pictures of one size in rows."""
    rows = -(-len(pictures) // columns)
    width, height = (WIDTH - GAP * (columns - 1)) // columns, (HEIGHT - GAP * (rows - 1)) // rows
    card = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for place, (words, picture) in enumerate(pictures):
        left, top = place % columns * (width + GAP), place // columns * (height + GAP)
        card.paste(covering(picture, width, height, zoom), (left, top))
        if words:
            label(card, words, left, top)
    return card


class Makers:
    """What the workflows do, by the shipped weights."""

    def __init__(self) -> None:
        self.mofrr = MoFRRPipeline.from_pretrained(hub.folder())
        self.bpfre = BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE))
        for pipe in (self.mofrr, self.bpfre):
            pipe.set_progress_bar_config(disable=True)

    def restored(self, picture: Image.Image, **given) -> Image.Image:
        """A picture of one face, as MoFRR Restore gives it."""
        return self.mofrr(picture, **given).images[0]

    def every_face(self, photo: Image.Image) -> Image.Image:
        """A photo of several, skin switched on by hand, the rest as the router has it."""
        from frr.pipelines.photos.faces import crop, crop_side, paste

        pixels = (tensor(photo)[0] + 1) / 2
        faces = FaceFinder().find(pixels)
        crops = crop(pixels, faces, crop_side(faces))
        request = Request(operations={"whitening": True, "smoothing": True})
        edited = self.mofrr.restore(crops, request).images
        return to_picture(paste(pixels, faces, crops, edited)[0] * 2 - 1)

    def retouched(self, picture: Image.Image) -> Image.Image:
        """A picture without its blemishes."""
        return self.bpfre(picture).images[0]


def restore_portrait(make: Makers) -> Image.Image:
    """The sample, and what was done to it undone by hand."""
    photo = sample("retouched")
    return split(("retouched", photo), ("restored by hand", make.restored(photo, **BY_HAND)))


def restore_portrait_app(make: Makers) -> Image.Image:
    """The same in a few words: the app opens with these switches."""
    photo, given = sample("retouched"), {**BY_HAND, "degrees": dict.fromkeys(DONE, 0.8)}
    return split(("before", photo), ("after", make.restored(photo, **given)))


def restore_every_face(make: Makers) -> Image.Image:
    """Three people, before and after."""
    photo = sample("group")
    pair = [("before", photo), ("each face by itself", make.every_face(photo))]
    return grid(pair, 1)


def calibrate_by_hand(make: Makers) -> Image.Image:
    """The sample, as found, half and all the way."""
    photo = sample("retouched")
    half = {"operations": set(DONE), "degrees": dict.fromkeys(DONE, 0.5)}
    given = {"as found": {}, "degrees 0.5": half, "degrees 1": BY_HAND}
    made = [(words, make.restored(photo, **each)) for words, each in given.items()]
    return grid([("retouched", photo), *made], 2, 1.15)


def candidates(make: Makers) -> Image.Image:
    """The first four candidates."""
    generator = torch.Generator().manual_seed(0)
    found = make.mofrr(sample("retouched"), num_samples=8, generator=generator).candidates[0]
    shown = [(f"{place}", each.image) for place, each in enumerate(found[:4], 1)]
    return grid([("retouched", sample("retouched")), *shown][: 4 if len(shown) > 2 else 2], 2, 1.15)


def batch_folder(make: Makers) -> Image.Image:
    """Two photos, before and after."""
    photos = [sample("portrait"), sample("retouched")]
    made = [("", make.restored(photo)) for photo in photos]
    return grid([("a folder", photos[0]), ("", photos[1]), ("restored", made[0][1]), made[1]], 2)


def video_frames(make: Makers) -> Image.Image:
    """The sample coming nearer, before and after."""
    frames = [covering(sample("retouched"), 300, 300, 1 + 0.12 * place) for place in range(3)]
    made = [("", make.restored(frame, **BY_HAND)) for frame in frames]
    rows = [("a clip", frames[0]), ("", frames[1]), ("", frames[2])]
    return grid([*rows, ("restored", made[0][1]), *made[1:]], 3, 1.1)


def pipeline_taken_apart(make: Makers) -> Image.Image:
    """What each expert does by itself, and all of them."""
    photo = sample("retouched")
    alone = [
        (name.replace("_", " "), make.restored(photo, operations={name}, degrees={name: 1.0}))
        for name in OPERATIONS
    ]
    whole = make.restored(photo, **BY_HAND)
    return grid([("retouched", photo), *alone, ("merged", whole)], 3, 1.1)


def simulate_restore_compare(make: Makers) -> Image.Image:
    """A face, retouched, and back."""
    photo = sample("portrait")
    steps = tuple(
        Step(n, a, 0.8) for n, a in (("whitening", "log_curve"), ("eye_enlarging", "radial"))
    )
    filtered = to_picture(retouch(tensor(photo), [Recipe(steps)]).image[0])
    back = make.restored(filtered, operations={step.operation for step in steps})
    return grid([("photo", photo), ("beauty filter", filtered), ("restored", back)], 3)


def retouch_portrait(make: Makers) -> Image.Image:
    """A blemished face."""
    photo = sample("blemished")
    return split(("before", photo), ("retouched", make.retouched(photo)), 1.6)


def retouch_and_restore(make: Makers) -> Image.Image:
    """A blemished face, retouched, and what MoFRR makes of that."""
    photo = sample("blemished")
    clean = make.retouched(photo)
    shown = [("before", photo), ("retouched", clean), ("undone?", make.restored(clean))]
    return grid(shown, 3)


def inpaint_portrait(make: Makers) -> Image.Image:
    """A face with holes, and without."""
    holed = Image.open(SAMPLES / "frr_holes.png")
    mask = Image.eval(holed.getchannel("A"), lambda level: 255 - level)
    photo = holed.convert("RGB")
    filled = make.bpfre.inpaint(photo, mask).images[0]
    photo.paste((235, 60, 160), mask=mask)
    return split(("mask", photo), ("filled", filled), 1.3)


CARDS: dict[str, Callable[[Makers], Image.Image]] = {
    function.__name__: function
    for function in (
        restore_portrait,
        restore_portrait_app,
        restore_every_face,
        calibrate_by_hand,
        candidates,
        batch_folder,
        video_frames,
        pipeline_taken_apart,
        simulate_restore_compare,
        retouch_portrait,
        retouch_and_restore,
        inpaint_portrait,
    )
} | {"retouch_portrait_app": retouch_portrait}

if __name__ == "__main__":
    makers = Makers()
    for name, draw in CARDS.items():
        draw(makers).save(file_of(name).with_suffix(".jpg"), quality=90)
