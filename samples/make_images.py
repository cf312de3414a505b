"""Draws the pictures of samples/images: `python samples/make_images.py` (needs Pillow only).

The random numbers are seeded, so a picture comes out the same each time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

from canvas import Canvas, Color, face, sticker, wavy
from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent / "images"

Scene = Callable[[random.Random], Image.Image]
SCENES: dict[str, Scene] = {}


def scene(name: str) -> Callable[[Scene], Scene]:
    """Register a function as the picture `name`."""

    def register(function: Scene) -> Scene:
        SCENES[name] = function
        return function

    return register


@scene("sunset.jpg")
def sunset(rng: random.Random) -> Image.Image:
    """The sun going down over the sea."""
    canvas = Canvas((46, 40, 92), (255, 150, 70))
    canvas.glow(280, 235, 260, (255, 214, 120))
    canvas.oval(280, 235, 46, 46, (255, 240, 190))
    canvas.shape(wavy(232, 12, rng), (70, 40, 84))
    canvas.box(0, 255, 560, 420, (92, 60, 104))
    for y in range(258, 420, 7):
        reach = 30 + (y - 255) * 0.5
        x = 280 + rng.uniform(-12, 12)
        canvas.line([(x - reach * rng.random(), y), (x + reach * rng.random(), y)], (255, 196, 120, 200), 2.5)
    return canvas.finish(rng)


@scene("rain.jpg")
def rain(rng: random.Random) -> Image.Image:
    """Rain on a window, a grey street behind it."""
    canvas = Canvas((104, 114, 124), (58, 64, 72))
    for x in range(0, 560, 62):
        canvas.box(x, rng.uniform(60, 210), x + 56, 420, (70, 76, 86))
    for _ in range(14):
        canvas.oval(rng.uniform(0, 560), rng.uniform(210, 400), 12, 12, (214, 178, 110, 150))
    canvas.blur(8)
    for _ in range(240):
        x, y, r = rng.uniform(0, 560), rng.uniform(0, 420), rng.uniform(1, 5)
        canvas.line([(x, y - r * rng.uniform(3, 12)), (x, y)], (190, 200, 210, 70), r * 0.7)
        canvas.oval(x, y, r, r * 1.25, (196, 206, 216, 150))
        canvas.oval(x - r * 0.3, y - r * 0.4, r * 0.3, r * 0.3, (250, 250, 255, 220))
    return canvas.finish(rng)


@scene("party.jpg")
def party(rng: random.Random) -> Image.Image:
    """Balloons and confetti."""
    canvas = Canvas((72, 28, 110), (214, 74, 132))
    for _ in range(40):
        canvas.glow(rng.uniform(0, 560), rng.uniform(0, 420), rng.uniform(14, 40), (255, 190, 120))
    colors = [(255, 92, 92), (255, 206, 84), (88, 214, 190), (94, 148, 255), (255, 140, 220)]
    for index, x in enumerate((90, 190, 285, 380, 480)):
        y, color = 130 + rng.uniform(-50, 60), colors[index]
        canvas.line([(x, y + 60), (x + 14, y + 160), (x - 6, 420)], (255, 255, 255, 150), 1.5)
        canvas.oval(x, y, 48, 60, color)
        canvas.oval(x - 17, y - 24, 9, 15, (255, 255, 255, 170))
    for _ in range(170):
        x, y, turn = rng.uniform(0, 560), rng.uniform(0, 420), rng.uniform(0, 3)
        dx, dy = 6 * math.cos(turn), 6 * math.sin(turn)
        canvas.line([(x - dx, y - dy), (x + dx, y + dy)], rng.choice(colors), 4)
    return canvas.finish(rng)


@scene("broken_phone.jpg")
def broken_phone(rng: random.Random) -> Image.Image:
    """A phone with a shattered screen on a table."""
    canvas = Canvas((126, 96, 72), (92, 66, 48))
    for y in range(0, 420, 13):
        canvas.line([(0, y + rng.uniform(-3, 3)), (560, y + rng.uniform(-3, 3))], (70, 48, 34, 90), 1)
    canvas.box(196, 34, 376, 398, (0, 0, 0, 90), radius=26)
    canvas.box(190, 26, 370, 390, (24, 24, 28), radius=26)
    canvas.box(199, 44, 361, 372, (44, 52, 66), radius=8)
    for turn in range(0, 360, 18):
        x, y, angle = 316.0, 120.0, math.radians(turn + rng.uniform(-6, 6))
        points = [(x, y)]
        while 202 < x < 358 and 47 < y < 369:
            angle += rng.uniform(-0.35, 0.35)
            x, y = x + 16 * math.cos(angle), y + 16 * math.sin(angle)
            points.append((min(max(x, 200), 360), min(max(y, 45), 371)))
        canvas.line(points, (226, 232, 240, 220), 1.2)
    for radius in (10, 22, 38):
        canvas.arc(316, 120, radius, radius * 0.9, (rng.uniform(0, 90), 330), (226, 232, 240, 170), 1)
    return canvas.finish(rng)


def chart(title: str, values: list[float], color: Color) -> Canvas:
    """Draw a line chart on white."""
    canvas = Canvas("white")
    canvas.words(280, 36, title, 24, (50, 54, 64))
    for y in range(80, 361, 56):
        canvas.line([(60, y), (520, y)], (224, 226, 232), 1)
    step = 460 / (len(values) - 1)
    points = [(60 + index * step, 360 - value * 2.7) for index, value in enumerate(values)]
    canvas.shape([(60, 360), *points, (520, 360)], (*color[:3], 40) if isinstance(color, tuple) else color)
    canvas.line(points, color, 4)
    canvas.oval(*points[-1], 7, 7, color)
    for index, month in enumerate("JFMAMJJASOND"):
        canvas.words(60 + index * 460 / 11, 384, month, 16, (110, 114, 124))
    return canvas


@scene("chart_down.png")
def chart_down(rng: random.Random) -> Image.Image:
    """Sales that fall and fall."""
    values = [92 - 7 * index + rng.uniform(-6, 6) for index in range(12)]
    return chart("Sales this year", values, (208, 52, 44)).finish(rng, grain=0).quantize(64)


@scene("chart_up.png")
def chart_up(rng: random.Random) -> Image.Image:
    """Members that grow and grow."""
    values = [12 + 7 * index + rng.uniform(-5, 5) for index in range(12)]
    return chart("Members of the club", values, (34, 150, 90)).finish(rng, grain=0).quantize(64)


@scene("bars.png")
def bars(rng: random.Random) -> Image.Image:
    """A bar chart of bus passengers, nothing special."""
    canvas = Canvas((250, 250, 250))
    canvas.words(280, 36, "Passengers per weekday", 24, (60, 64, 72))
    for index, day in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri")):
        x = 80 + index * 88
        canvas.box(x, 350 - rng.uniform(150, 210), x + 56, 350, (104, 132, 168))
        canvas.words(x + 28, 374, day, 18, (90, 94, 102))
    canvas.line([(60, 350), (520, 350)], (90, 94, 102), 2)
    return canvas.finish(rng, grain=0).quantize(64)


@scene("flowers.jpg")
def flowers(rng: random.Random) -> Image.Image:
    """A meadow in bloom."""
    canvas = Canvas((150, 206, 250), (120, 186, 90))
    canvas.shape(wavy(200, 14, rng), (112, 176, 84))
    canvas.blur(3)
    for _ in range(46):
        x, y = rng.uniform(0, 560), rng.uniform(200, 410)
        size = 6 + (y - 180) / 11
        color = rng.choice([(240, 84, 110), (255, 196, 60), (250, 250, 250), (186, 110, 220)])
        canvas.line([(x, y), (x + rng.uniform(-8, 8), y + size * 3)], (60, 130, 50), 2.5)
        for turn in range(6):
            dx, dy = size * 0.6 * math.cos(turn * math.tau / 6), size * 0.6 * math.sin(turn * math.tau / 6)
            canvas.oval(x + dx, y + dy, size * 0.45, size * 0.45, color)
        canvas.oval(x, y, size * 0.35, size * 0.35, (250, 220, 90))
    return canvas.finish(rng)


@scene("mountains.jpg")
def mountains(rng: random.Random) -> Image.Image:
    """Snowy peaks above a lake."""
    canvas = Canvas((96, 164, 226), (226, 238, 246))
    for x, y, width in ((120, 110, 170), (300, 70, 210), (470, 130, 170)):
        canvas.shape([(x, y), (x - width, 300), (x + width, 300)], (98, 112, 136))
        canvas.shape([(x, y), (x + width, 300), (x + 20, 300)], (78, 90, 114))
        cap = width * 0.3
        canvas.shape([(x, y), (x - cap, y + 60), (x - 16, y + 46), (x + 8, y + 66), (x + cap, y + 60)], (248, 250, 252))
    canvas.box(0, 290, 560, 420, (70, 130, 160))
    for _ in range(60):
        x, y = rng.uniform(0, 560), rng.uniform(296, 420)
        canvas.line([(x, y), (x + rng.uniform(20, 60), y)], (150, 196, 214, 130), 1.5)
    for x in range(-10, 570, 22):
        height = rng.uniform(30, 64)
        canvas.shape([(x, 300), (x + 11, 300 - height), (x + 22, 300)], (32, 74, 58))
    return canvas.finish(rng)


@scene("beach.webp")
def beach(rng: random.Random) -> Image.Image:
    """A beach with a parasol."""
    canvas = Canvas((90, 186, 240), (200, 236, 250))
    canvas.oval(460, 80, 38, 38, (255, 236, 140))
    canvas.box(0, 190, 560, 300, (40, 160, 190))
    canvas.shape(wavy(290, 10, rng), (246, 224, 170))
    canvas.line([(190, 160), (214, 372)], (240, 240, 240), 6)
    for index, color in enumerate(((232, 70, 70), (250, 250, 250), (232, 70, 70), (250, 250, 250))):
        left = 92 + index * 52
        canvas.shape([(186, 110), (left, 190 - index * 4), (left + 52, 186 - index * 4)], color)
    canvas.box(280, 352, 420, 380, (70, 120, 210), radius=8)
    return canvas.finish(rng, grain=4)


@scene("coffee.jpg")
def coffee(rng: random.Random) -> Image.Image:
    """A cup of coffee from above."""
    canvas = Canvas((196, 164, 128), (170, 136, 100))
    for y in range(0, 420, 52):
        canvas.line([(0, y), (560, y)], (140, 108, 78), 2)
    rings = {160: (120, 90, 66), 152: (248, 246, 240), 104: (236, 232, 224), 94: (112, 66, 36)}
    for radius, color in rings.items():
        canvas.oval(280, 215, radius, radius, color)
    for side in (-1, 1):
        canvas.oval(280 + side * 23, 200, 30, 30, (244, 226, 196))
    canvas.shape([(229, 214), (331, 214), (280, 272)], (244, 226, 196))
    canvas.glow(230, 165, 50, (255, 255, 255))
    return canvas.finish(rng)


@scene("burnt_toast.jpg")
def burnt_toast(rng: random.Random) -> Image.Image:
    """Toast that stayed in for too long."""
    canvas = Canvas((206, 206, 202), (176, 176, 172))
    canvas.oval(280, 230, 220, 160, (236, 236, 232))
    canvas.oval(280, 228, 176, 124, (220, 220, 216))
    canvas.box(180, 150, 380, 310, (58, 40, 28), radius=30)
    canvas.box(192, 160, 368, 300, (30, 24, 20), radius=24)
    for _ in range(500):
        x, y = rng.uniform(196, 364), rng.uniform(164, 296)
        canvas.oval(x, y, 2, 2, rng.choice([(14, 12, 10), (64, 44, 30), (44, 34, 28)]))
    for _ in range(5):
        x = rng.uniform(210, 350)
        canvas.line([(x + 14 * math.sin(y / 17), 150 - y) for y in range(0, 140, 6)], (90, 90, 90, 80), 7)
    return canvas.finish(rng)


@scene("traffic.jpg")
def traffic(rng: random.Random) -> Image.Image:
    """A traffic jam in the evening."""
    canvas = Canvas((40, 42, 62), (92, 66, 70))
    canvas.shape([(230, 120), (330, 120), (560, 420), (0, 420)], (46, 46, 52))
    for row in range(7):
        y, size = 130 + row * row * 5.6, 9 + row * 6.4
        for column in (-1.5, 0, 1.5):
            x = 280 + column * size * 1.9
            paint = rng.choice([(30, 32, 40), (80, 84, 92), (60, 40, 44)])
            canvas.box(x - size, y - size * 0.9, x + size, y + size * 0.5, paint, 4)
            canvas.box(x - size * 0.7, y - size * 0.8, x + size * 0.7, y - size * 0.3, (112, 124, 140), 3)
            for side in (-0.75, 0.75):
                canvas.glow(x + side * size, y, size * 0.7, (255, 60, 44))
    return canvas.finish(rng)


@scene("storm.jpg")
def storm(rng: random.Random) -> Image.Image:
    """Lightning under black clouds."""
    canvas = Canvas((26, 28, 40), (84, 84, 100))
    for _ in range(60):
        x, y = rng.uniform(-40, 600), rng.uniform(-20, 120)
        canvas.oval(x, y, rng.uniform(40, 90), rng.uniform(20, 40), (36, 38, 50, 200))
    canvas.blur(7)
    canvas.glow(330, 190, 190, (140, 130, 190))
    x = 340.0
    bolt = [(x := x + rng.uniform(-26, 20), float(y)) for y in range(110, 350, 20)]
    canvas.line(bolt, (200, 190, 255, 150), 9)
    canvas.line(bolt, (255, 255, 250), 3)
    canvas.shape(wavy(350, 8, rng), (14, 16, 22))
    canvas.shape([(120, 350), (120, 300), (150, 276), (180, 300), (180, 350)], (14, 16, 22))
    return canvas.finish(rng)


@scene("cake.jpg")
def cake(rng: random.Random) -> Image.Image:
    """A birthday cake with candles."""
    canvas = Canvas((255, 226, 214), (250, 188, 176))
    canvas.oval(280, 360, 220, 34, (246, 246, 250))
    canvas.box(130, 220, 430, 356, (246, 214, 160), radius=14)
    canvas.box(130, 276, 430, 298, (206, 88, 100))
    canvas.box(124, 196, 436, 242, (255, 128, 150), radius=20)
    for x in range(140, 430, 28):
        canvas.oval(x, 244, 13, rng.uniform(16, 30), (255, 128, 150))
    for x in (180, 230, 280, 330, 380):
        canvas.box(x - 5, 136, x + 5, 198, rng.choice([(94, 148, 255), (88, 200, 170), (255, 206, 84)]))
        canvas.glow(x, 118, 34, (255, 220, 120))
        canvas.oval(x, 120, 6, 12, (255, 170, 50))
    return canvas.finish(rng)


@scene("cat.jpg")
def cat(rng: random.Random) -> Image.Image:
    """A cat that looks at you."""
    canvas = Canvas((176, 208, 196), (130, 172, 160))
    fur, dark = (236, 164, 92), (204, 126, 60)
    canvas.oval(280, 430, 190, 150, fur)
    for side in (-1, 1):
        canvas.shape([(280 + side * 40, 130), (280 + side * 140, 60), (280 + side * 134, 190)], fur)
        ear = [(280 + side * 74, 124), (280 + side * 124, 84), (280 + side * 120, 160)]
        canvas.shape(ear, (244, 190, 170))
    canvas.oval(280, 215, 142, 122, fur)
    for x in (246, 280, 314):
        canvas.line([(x, 100), (x, 142)], dark, 9)
    for side in (-1, 1):
        canvas.oval(280 + side * 56, 196, 29, 31, (250, 250, 240))
        canvas.oval(280 + side * 56, 198, 20, 26, (92, 150, 70))
        canvas.oval(280 + side * 56, 198, 8, 22, (20, 20, 20))
        canvas.arc(280 + side * 20, 258, 20, 16, (10, 170), (90, 60, 50), 3)
        for y in (240, 254, 268):
            canvas.line([(280 + side * 62, 252), (280 + side * 166, y)], (250, 246, 240), 1.6)
    canvas.shape([(266, 240), (294, 240), (280, 256)], (220, 110, 110))
    return canvas.finish(rng)


@scene("friends.jpg")
def friends(rng: random.Random) -> Image.Image:
    """Five friends who laugh into the camera."""
    canvas = Canvas((120, 196, 240), (170, 214, 130))
    shirts = [(228, 92, 80), (70, 130, 200), (250, 200, 80), (110, 180, 110), (180, 110, 190)]
    hair = [(40, 28, 22), (120, 70, 36), (226, 186, 110), (24, 20, 20), (90, 46, 30)]
    skin = [(250, 214, 180), (170, 116, 80), (246, 206, 170), (120, 80, 56), (232, 184, 140)]
    for index, x in enumerate((84, 184, 282, 380, 478)):
        y = 200 + (20 if index % 2 else 0) + rng.uniform(-8, 8)
        canvas.oval(x, y + 150, 66, 96, shirts[index])
        canvas.oval(x, y - 14, 54, 56, hair[index])
        face(canvas, x, y, 46, skin[index], 1)
    return canvas.finish(rng)


@scene("wilted.jpg")
def wilted(rng: random.Random) -> Image.Image:
    """A houseplant that nobody watered."""
    canvas = Canvas((150, 150, 146), (112, 110, 106))
    canvas.shape([(220, 290), (340, 290), (324, 390), (236, 390)], (140, 90, 68))
    canvas.box(212, 274, 348, 298, (156, 102, 78), radius=4)
    for side in (-1, 1):
        for reach in (50, 90, 130):
            steps = (0, 0.2, 0.4, 0.6, 0.8, 1)
            stem = [(280 + side * reach * t, 276 - 190 * t + 250 * t * t * reach / 110) for t in steps]
            canvas.line(stem, (104, 96, 56), 4)
            x, y = stem[-1]
            canvas.oval(x, y + 16, 13, 28, (126, 104, 58))
    for _ in range(9):
        canvas.oval(rng.uniform(130, 430), rng.uniform(388, 406), 14, 5, (112, 88, 52))
    return canvas.finish(rng)


@scene("city_map.png")
def city_map(rng: random.Random) -> Image.Image:
    """A street map with a pin."""
    canvas = Canvas((238, 234, 226))
    river = [(0, 300), (200, 270), (360, 330), (560, 300), (560, 360), (360, 390), (200, 330), (0, 360)]
    canvas.shape(river, (170, 206, 230))
    canvas.box(330, 60, 470, 170, (196, 222, 178), radius=10)
    for _ in range(9):
        x, y = rng.uniform(0, 560), rng.uniform(0, 420)
        canvas.line([(x, 0), (x + rng.uniform(-60, 60), 420)], "white", 6)
        canvas.line([(0, y), (560, y + rng.uniform(-40, 40))], "white", 6)
    canvas.line([(0, 220), (300, 200), (560, 120)], (250, 214, 120), 10)
    canvas.shape([(262, 180), (298, 180), (280, 226)], (220, 60, 50))
    canvas.oval(280, 170, 22, 22, (220, 60, 50))
    canvas.oval(280, 170, 8, 8, "white")
    return canvas.finish(rng, grain=0).quantize(64)


@scene("departures.png")
def departures(rng: random.Random) -> Image.Image:
    """A departures board: everything late."""
    canvas = Canvas((22, 24, 28))
    canvas.words(280, 40, "DEPARTURES", 30, (250, 214, 90))
    for index, town in enumerate(("Northport", "Easton", "Milltown", "Harbour St", "Lakeside", "Old Bridge")):
        y = 96 + index * 52
        canvas.line([(24, y + 26), (536, y + 26)], (60, 62, 68), 1)
        canvas.words(70, y, f"{rng.randrange(17, 20)}:{rng.randrange(10, 60)}", 22, (240, 240, 240))
        canvas.words(240, y, town, 22, (240, 240, 240))
        canvas.words(450, y, "CANCELLED" if index % 3 == 0 else "DELAYED", 22, (240, 80, 66))
    return canvas.finish(rng, grain=0).quantize(64)


@scene("lecture.png")
def lecture(rng: random.Random) -> Image.Image:
    """The poster of a public lecture."""
    canvas = Canvas((232, 236, 242), size=(420, 560))
    canvas.box(0, 0, 420, 130, (56, 84, 120))
    canvas.words(210, 66, "Public lecture", 40, "white")
    canvas.words(210, 220, "How rivers\nchange their course", 30, (50, 60, 76))
    canvas.line([(x, 300 + 20 * math.sin(x / 40)) for x in range(60, 361, 6)], (86, 140, 190), 8)
    canvas.words(210, 390, "Thursday, 18:00\nHall B, second floor", 26, (50, 60, 76))
    canvas.words(210, 500, "Admission free. Doors open at 17:30", 18, (100, 110, 124))
    return canvas.finish(rng, grain=0).quantize(64)


@scene("trophy.jpg")
def trophy(rng: random.Random) -> Image.Image:
    """A golden cup under spotlights."""
    canvas = Canvas((20, 40, 90), (40, 80, 150))
    for x in (100, 280, 460):
        canvas.shape([(x, 0), (280 - 130, 420), (280 + 130, 420)], (255, 255, 220, 26))
    canvas.glow(280, 190, 200, (255, 236, 160))
    gold, shade = (246, 196, 60), (206, 150, 30)
    for side in (-1, 1):
        canvas.arc(280 + side * 84, 150, 46, 50, (0, 360), shade, 12)
    canvas.shape([(190, 90), (370, 90), (346, 210), (300, 250), (260, 250), (214, 210)], gold)
    canvas.oval(280, 90, 90, 16, (255, 226, 130))
    canvas.box(266, 246, 294, 310, shade)
    canvas.box(220, 306, 340, 330, gold, radius=4)
    canvas.box(206, 330, 354, 376, (70, 46, 30), radius=4)
    canvas.words(280, 353, "1st", 26, gold)
    for _ in range(70):
        paper = rng.choice([(255, 220, 90), (255, 110, 110), (120, 220, 255)])
        canvas.oval(rng.uniform(0, 560), rng.uniform(0, 420), 3, 3, paper)
    return canvas.finish(rng)


@scene("fog.jpg")
def fog(rng: random.Random) -> Image.Image:
    """A road in the fog, in shades of grey (the file has one channel)."""
    canvas = Canvas((206, 206, 206), (160, 160, 160))
    canvas.shape([(262, 200), (298, 200), (470, 420), (90, 420)], (132, 132, 132))
    for index in range(6):
        y, size = 206 + index * index * 8, 14 + index * 15
        for side in (-1, 1):
            x = 280 + side * (30 + index * index * 9)
            tone = 188 - index * 18
            canvas.line([(x, y), (x, y - size * 2)], (tone, tone, tone), 1 + index)
            canvas.oval(x, y - size * 2, size * 0.8, size, (tone, tone, tone))
        canvas.blur(3.2 - index * 0.5)
    return canvas.finish(rng).convert("L")


@scene("rainbow.jpg")
def rainbow(rng: random.Random) -> Image.Image:
    """A rainbow over green hills."""
    canvas = Canvas((104, 158, 210), (206, 226, 240))
    colors = [(232, 70, 70), (246, 150, 60), (250, 226, 90), (100, 196, 100), (80, 140, 230), (140, 90, 190)]
    for index, color in enumerate(colors):
        canvas.arc(280, 330, 250 - index * 13, 250 - index * 13, (180, 360), (*color, 190), 14)
    canvas.blur(2)
    for tone in (150, 126, 100):
        canvas.shape(wavy(450 - tone, 18, rng), (tone - 50, tone + 40, 80))
    return canvas.finish(rng)


@scene("sideways.jpg")
def sideways(rng: random.Random) -> Image.Image:
    """A snowman held upright by the EXIF orientation only: the pixels lie on their side."""
    canvas = Canvas((80, 110, 160), (190, 206, 226), size=(420, 560))
    canvas.oval(210, 620, 380, 180, (244, 248, 252))
    for y, radius in ((430, 96), (290, 72), (184, 52)):
        canvas.oval(210, y, radius, radius, (250, 252, 255))
    face(canvas, 210, 184, 48, (250, 252, 255), 1)
    canvas.shape([(206, 188), (260, 198), (206, 204)], (246, 140, 50))
    canvas.box(166, 84, 254, 140, (40, 40, 50))
    canvas.box(146, 132, 274, 146, (40, 40, 50))
    for _ in range(120):
        canvas.oval(rng.uniform(0, 420), rng.uniform(0, 560), 3, 3, (255, 255, 255, 220))
    return canvas.finish(rng).transpose(Image.Transpose.ROTATE_90)


@scene("love.webp")
def love(rng: random.Random) -> Image.Image:
    """A sticker: a heart and kind words."""
    canvas = sticker("", (255, 236, 240), (200, 40, 70), 10)
    for side in (-1, 1):
        canvas.oval(174 + side * 42, 122, 50, 46, (236, 64, 92))
    canvas.shape([(87, 142), (261, 142), (174, 232)], (236, 64, 92))
    canvas.words(174, 262, "love this!", 36, (200, 40, 70))
    return _cut_out(canvas.finish(rng, grain=0))


@scene("nope.png")
def nope(rng: random.Random) -> Image.Image:
    """A sticker that says no."""
    return _cut_out(sticker("NOPE.", (196, 40, 40), "white", 76).finish(rng, grain=0))


@scene("meh.png")
def meh(rng: random.Random) -> Image.Image:
    """A sticker that does not care."""
    canvas = sticker("", (226, 226, 214), (80, 80, 80), 10)
    face(canvas, 174, 146, 72, (250, 216, 100), 0)
    canvas.words(174, 256, "meh", 40, (80, 80, 80))
    return _cut_out(canvas.finish(rng, grain=0))


@scene("fridge.jpg")
def fridge(rng: random.Random) -> Image.Image:
    """An empty fridge with one lemon."""
    canvas = Canvas((90, 96, 104), (60, 64, 70))
    canvas.box(110, 16, 450, 410, (228, 232, 236), radius=12)
    canvas.box(128, 34, 432, 396, (196, 208, 216), radius=6)
    canvas.glow(280, 60, 150, (250, 252, 255))
    for y in (140, 230, 320):
        canvas.box(128, y, 432, y + 7, (236, 242, 246))
    canvas.oval(330, 306, 20, 14, (232, 206, 70))
    canvas.oval(350, 306, 6, 4, (210, 184, 60))
    return canvas.finish(rng)


def smile_frames(rng: random.Random) -> list[Image.Image]:
    """Two frames of a face that smiles and sings."""
    frames = []
    for tilt in (-8, 8):
        canvas = Canvas((255, 244, 200), size=(300, 300))
        face(canvas, 150 + tilt, 150, 100, (255, 212, 80), 1)
        canvas.words(252, 60 - tilt, "la la", 24, (230, 120, 60))
        frames.append(canvas.finish(rng, grain=0).quantize(32))
    return frames


def _cut_out(image: Image.Image) -> Image.Image:
    """Make a sticker's white surroundings transparent."""
    layer = image.convert("RGBA")
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((12, 50, 342, 302), 48, fill=255)
    layer.putalpha(mask)
    return layer


def save(name: str, image: Image.Image) -> None:
    """Write a picture in the format that its name says."""
    path = FOLDER / name
    if name == "sideways.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turn a quarter clockwise to see it
        image.save(path, quality=84, exif=exif)
    elif path.suffix == ".png":
        image.save(path, optimize=True)
    else:
        image.save(path, quality=84)


def main() -> None:
    """Draw everything, then tear one download in half."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in SCENES.items():
        save(name, draw(random.Random(name)))
    first, second = smile_frames(random.Random("smile.gif"))
    first.save(FOLDER / "smile.gif", save_all=True, append_images=[second], duration=400, loop=0)
    whole = (FOLDER / "friends.jpg").read_bytes()
    (FOLDER / "torn.jpg").write_bytes(whole[: len(whole) // 3])


if __name__ == "__main__":
    main()
