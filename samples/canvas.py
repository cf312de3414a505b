"""The canvas that make_images.py draws on, and the motifs that several pictures share (Pillow only).

Pictures are drawn at twice their size and reduced.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SCALE = 2

Color = str | tuple[int, ...]
Point = tuple[float, float]


class Canvas:
    """A picture in progress: coordinates are in pixels of the finished picture, colours may carry alpha."""

    def __init__(self, top: Color, bottom: Color | None = None, size: tuple[int, int] = (560, 420)) -> None:
        self.size = size
        self.picture = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), top)
        if bottom is not None:
            fade = Image.linear_gradient("L").resize(self.picture.size)
            self.picture.paste(bottom, (0, 0), fade)
        self.draw = ImageDraw.Draw(self.picture, "RGBA")

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Draw a filled ellipse around (x, y)."""
        self.draw.ellipse([v * SCALE for v in (x - rx, y - ry, x + rx, y + ry)], fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Color, radius: float = 0) -> None:
        """Draw a filled rectangle, with round corners where a radius is given."""
        self.draw.rounded_rectangle([v * SCALE for v in (x0, y0, x1, y1)], radius * SCALE, fill=fill)

    def shape(self, points: Iterable[Point], fill: Color) -> None:
        """Draw a filled polygon."""
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def line(self, points: Iterable[Point], fill: Color, width: float = 2) -> None:
        """Draw a line through the points."""
        self.draw.line([(x * SCALE, y * SCALE) for x, y in points], fill, round(width * SCALE), joint="curve")

    def arc(self, x: float, y: float, rx: float, ry: float, degrees: Point, ink: Color, width: float) -> None:
        """Draw a part of an ellipse's outline."""
        corners = [v * SCALE for v in (x - rx, y - ry, x + rx, y + ry)]
        self.draw.arc(corners, *degrees, fill=ink, width=round(width * SCALE))

    def words(self, x: float, y: float, text: str, size: float, fill: Color) -> None:
        """Write text with its middle at (x, y)."""
        font = ImageFont.load_default(size * SCALE)
        self.draw.text((x * SCALE, y * SCALE), text, fill=fill, font=font, anchor="mm", align="center")

    def glow(self, x: float, y: float, radius: float, color: Color) -> None:
        """Lay a soft round light on the picture."""
        side = round(2 * radius * SCALE)
        light = ImageChops.invert(Image.radial_gradient("L")).resize((side, side))
        light = light.point([max(0, round((v - 75) * 1.3)) for v in range(256)])
        self.picture.paste(color, (round((x - radius) * SCALE), round((y - radius) * SCALE)), light)

    def blur(self, radius: float) -> None:
        """Blur what has been drawn so far."""
        self.picture = self.picture.filter(ImageFilter.GaussianBlur(radius * SCALE))
        self.draw = ImageDraw.Draw(self.picture, "RGBA")

    def finish(self, rng: random.Random, grain: int = 7) -> Image.Image:
        """Reduce to the finished size and add a photograph's grain."""
        small = self.picture.resize(self.size, Image.Resampling.LANCZOS)
        if not grain:
            return small
        noise = Image.frombytes("L", self.size, rng.randbytes(self.size[0] * self.size[1]))
        noise = noise.point([round(v * grain / 255) for v in range(256)])
        return ImageChops.subtract(small, Image.merge("RGB", (noise, noise, noise)))


def wavy(y: float, height: float, rng: random.Random, width: int = 560, bottom: float = 420) -> list[Point]:
    """Return the outline of rolling hills down to the bottom."""
    shift, waves = rng.uniform(0, 6), rng.uniform(1.5, 3)
    ridge = [
        (x, y + height * math.sin(shift + waves * math.tau * x / width) * (0.6 + 0.4 * math.cos(x / 90)))
        for x in range(0, width + 8, 8)
    ]
    return [*ridge, (width, bottom), (0, bottom)]


def face(canvas: Canvas, x: float, y: float, radius: float, fill: Color, mood: float) -> None:
    """Draw a round face: mood 1 smiles, 0 is flat, -1 is sad."""
    ink = (60, 40, 30)
    canvas.oval(x, y, radius, radius, fill)
    for side in (-1, 1):
        canvas.oval(x + side * radius * 0.35, y - radius * 0.2, radius * 0.1, radius * 0.15, ink)
    if mood > 0:
        canvas.arc(x, y + radius * 0.1, radius * 0.5, radius * 0.45, (20, 160), ink, radius * 0.09)
    elif mood < 0:
        canvas.arc(x, y + radius * 0.75, radius * 0.45, radius * 0.4, (205, 335), ink, radius * 0.09)
    else:
        reach, height = radius * 0.4, y + radius * 0.4
        canvas.line([(x - reach, height), (x + reach, height)], ink, radius * 0.09)


def sticker(text: str, fill: Color, ink: Color, size: float) -> Canvas:
    """Make a round-cornered sticker with words on it."""
    canvas = Canvas("white", size=(360, 360))
    canvas.box(20, 60, 340, 300, (0, 0, 0, 50), radius=46)
    canvas.box(14, 52, 334, 292, fill, radius=46)
    canvas.words(174, 172, text, size, ink)
    return canvas
