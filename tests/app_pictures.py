"""Pictures as the web page sends and gets them."""

import base64
import io

from PIL import Image


def data_url(picture: Image.Image, kind: str = "png") -> str:
    """A picture as the page sends it."""
    stream = io.BytesIO()
    picture.save(stream, kind)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def picture_in(url: str) -> Image.Image:
    """A picture as the page gets it."""
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
