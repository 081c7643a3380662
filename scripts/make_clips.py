#!/usr/bin/env python3
"""Draws the bundled clips, assets/clips/* (needs numpy and the ffmpeg command with libx264 and libvpx-vp9).

    python3 scripts/make_clips.py [OUT_DIR]

door_opening.mp4   H.264  a door swings open into a lit room
door_closing.webm  VP9    another door swings shut
ball_rising.mp4    H.264  a ball rises over hills at dusk
wheel_turning.webm VP9    a painted wheel turns clockwise by a third

Every pixel is computed here from plane geometry; no footage, picture or font is used. Shapes are drawn as signed distances (negative
inside) on a canvas of twice the size, which is then averaged down. Every run computes the same pixels; the bytes of the files depend on
the versions of the encoders.
"""

import math
import pathlib
import subprocess
import sys

import numpy as np

FPS = 25
SCALE = 2  # canvas pixels per pixel of the clip, along each side


def rgb(code):
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255


def ease(t):
    """Rest, motion, rest: the smooth step of the middle four fifths of the clip."""
    t = min(max((t - 0.1) / 0.8, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def noise(seed, shape, cell):
    """Smooth noise in [-1, 1]: a random grid, `cell` pixels wide, interpolated."""
    rng = np.random.RandomState(seed)
    rows, cols = (math.ceil(n / c) + 2 for n, c in zip(shape, cell))
    grid = rng.uniform(-1, 1, (rows, cols))

    def mix(a, n, c, axis):
        p = np.arange(n) / c
        i, f = p.astype(int), p % 1
        f = (f * f * (3 - 2 * f)).reshape((-1, 1) if axis == 0 else (1, -1))
        return np.take(a, i, axis) * (1 - f) + np.take(a, i + 1, axis) * f

    return mix(mix(grid, shape[0], cell[0], 0), shape[1], cell[1], 1)


class Canvas:
    """A picture in [0, 1] with pixel coordinates `x`, `y` of the clip, origin top left."""

    def __init__(self, width, height):
        self.y, self.x = (np.mgrid[0 : height * SCALE, 0 : width * SCALE] + 0.5) / SCALE
        self.pixels = np.zeros(self.x.shape + (3,))

    def fill(self, colour, distance, alpha=1.0):
        """Paints where `distance` (clip pixels) is negative, with a soft edge of one canvas pixel."""
        cover = np.clip(0.5 - distance * SCALE, 0, 1) * alpha
        self.pixels += (colour - self.pixels) * cover[..., None]

    def glow(self, colour, amount):
        """Adds light."""
        self.pixels += colour * amount[..., None]

    def frame(self):
        h, w, _ = self.pixels.shape
        small = self.pixels.reshape(h // SCALE, SCALE, w // SCALE, SCALE, 3).mean((1, 3))
        return (np.clip(small, 0, 1) * 255 + 0.5).astype("u1")


def box(x, y, left, top, right, bottom):
    return np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom))


def lit(colour, texture, depth):
    """A colour with a grey texture of the given depth."""
    return colour * (1 + depth * texture)[..., None]


def door(width, height, wall, leaf, room, seed, hinge_right=False):
    """A function from the opening, 0 to 1, to a frame of a door that swings away from the viewer."""
    floor_y, top, left, right = height * 0.86, height * 0.14, width * 0.36, width * 0.64
    shape = (height * SCALE, width * SCALE)
    plaster = noise(seed, shape, (9, 9)) * 0.5 + noise(seed + 1, shape, (60, 60))
    boards = noise(seed + 2, shape, (5, 120))

    def draw(opening):
        c = Canvas(width, height)
        x, y = (width - c.x if hinge_right else c.x), c.y
        stripes = np.sin(x * 2 * math.pi / 18)
        c.pixels[:] = lit(wall, plaster * 0.6 + 0.5 * stripes, 0.10)
        c.fill(lit(rgb("8a6a4a"), boards, 0.18), floor_y - y)
        c.fill(rgb("f1ece2"), box(x, y, -1, floor_y - 9, width + 1, floor_y))  # skirting
        # A picture on the wall, so that the wall has a place.
        c.fill(rgb("3a322c"), box(x, y, width * 0.76, height * 0.26, width * 0.92, height * 0.46))
        c.fill(rgb("d8cfae"), box(x, y, width * 0.775, height * 0.275, width * 0.905, height * 0.445))
        c.fill(leaf, np.hypot(x - width * 0.84, y - height * 0.36) - height * 0.06)
        # The frame, the room behind it with a window's light, and its floor.
        c.fill(rgb("efe6d6"), box(x, y, left - 9, top - 9, right + 9, floor_y))
        inside = box(x, y, left, top, right, floor_y)
        c.fill(lit(room, plaster, 0.05), inside)
        c.fill(lit(room * 0.6, boards, 0.12), np.maximum(inside, floor_y - 12 - y))
        c.fill(rgb("fffbe8"), box(x, y, left + 34, top + 30, right - 22, top + 82))
        c.fill(room * 0.8, box(x, y, left + 34 + 15, top + 30, left + 34 + 18, top + 82))
        # The leaf: turned by `angle` about its hinge, seen from `far` away.
        angle, far = opening * math.radians(82), 520.0
        px, py = x - width / 2, y - height * 0.5
        hinge, span = left - width / 2, right - left
        along = far * (px - hinge) / np.maximum(far * math.cos(angle) - px * math.sin(angle), 1e-3)
        grow = (far + along * math.sin(angle)) / far
        u, v = along / span, (py * grow + height * 0.5 - top) / (floor_y - top)
        # Distances on the leaf shrink with its turn; the factor brings them back to pixels of the clip.
        px_u, px_v = span * max(math.cos(angle), 0.08), (floor_y - top) / np.maximum(grow, 1)
        edge = np.maximum(np.maximum(-u, u - 1) * px_u, np.maximum(-v, v - 1) * px_v)
        edge = np.where((along > -span) & (along < 2 * span), edge, 1e3)
        shade = 1 - 0.45 * opening
        c.fill(lit(leaf * shade, boards + plaster, 0.08), edge)
        for v0, v1 in ((0.07, 0.44), (0.54, 0.93)):
            panel = np.maximum(np.maximum(0.16 - u, u - 0.84) * px_u, np.maximum(v0 - v, v - v1) * px_v)
            panel = np.where(edge < 0, panel, 1e3)
            c.fill(leaf * shade * 0.72, panel)
            c.fill(lit(leaf * shade * 1.08, boards, 0.08), panel + 2.5)
        knob = np.hypot((u - 0.9) * px_u, (v - 0.5) * px_v) - 4.5
        c.fill(rgb("e8c66a"), np.where(edge < 0, knob, 1e3))
        # Light falls through the gap onto the floor.
        gap = 1 - math.cos(angle)
        reach = np.clip((y - floor_y) / (height - floor_y), 0, 1)
        beam = np.clip((x - (right - span * gap) + reach * 18) / 10, 0, 1) * np.clip((right + reach * 26 - x) / 10, 0, 1)
        c.glow(rgb("ffdf9a") * 0.35 * min(gap * 3, 1), np.where(y > floor_y, beam * (1 - 0.6 * reach), 0))
        c.pixels *= (1.04 - 0.35 * (((c.x - width / 2) / width) ** 2 + ((c.y - height * 0.45) / height) ** 2))[..., None]
        return c.frame()

    return draw


def ball(width, height):
    """A function from the ascent, 0 to 1, to a frame of a striped ball over hills."""
    shape = (height * SCALE, width * SCALE)
    clouds = noise(31, shape, (40, 110)) + 0.5 * noise(32, shape, (20, 50))
    grass = noise(33, shape, (4, 8))

    def draw(ascent):
        c = Canvas(width, height)
        x, y = c.x, c.y
        down = (y / height)[..., None]
        c.pixels[:] = rgb("27366b") * (1 - down) + rgb("e08a5c") * down
        c.glow(rgb("ffd9c0"), np.clip(clouds - 0.1, 0, 1) * 0.16 * (1 - y / height))
        for colour, base, rise, pitch, phase in (("4a3f63", 0.68, 16, 70, 0.4), ("37405a", 0.76, 12, 52, 2.0), ("2c4a3c", 0.84, 8, 90, 4.1)):
            ridge = height * base - rise * np.sin(x / pitch * 2 + phase) - 4 * np.sin(x / pitch * 5)
            c.fill(lit(rgb(colour), grass, 0.12), ridge - y)
        radius = width * 0.115
        cx, cy = width * 0.5 + 6 * math.sin(ascent * 3), height * (0.80 - 0.60 * ascent)
        # The shadow on the grass: fainter and smaller the higher the ball.
        shadow = np.hypot((x - width * 0.5) / 1.0, (y - height * 0.92) / 0.25) - radius * (1 - 0.6 * ascent)
        c.pixels *= (1 - 0.45 * (1 - 0.8 * ascent) * np.clip(0.5 - shadow / 12, 0, 1))[..., None]
        nx, ny = (x - cx) / radius, (y - cy) / radius
        nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, 1))
        turn = np.arctan2(nx, nz + 1e-9)
        stripe = np.clip(0.5 + 9 * np.sin(turn * 4 + 0.6) * np.clip(np.hypot(nx, nz), 0.2, 1), 0, 1)[..., None]
        skin = rgb("f6efe0") * stripe + rgb("e2502f") * (1 - stripe)
        light = np.clip(-0.45 * nx - 0.6 * ny + 0.66 * nz, 0, 1)
        shine = np.clip(-0.25 * nx - 0.36 * ny + 0.9 * nz, 0, 1) ** 40
        c.fill(np.clip(skin * (0.35 + 0.75 * light)[..., None] + 0.5 * shine[..., None], 0, 1), np.hypot(x - cx, y - cy) - radius)
        return c.frame()

    return draw


def wheel(width, height):
    """A function from the turn, 0 to 1, to a frame of a painted wheel that turns clockwise by a third."""
    shape = (height * SCALE, width * SCALE)
    grain = noise(41, shape, (90, 4)) + 0.6 * noise(42, shape, (24, 3))
    colours = [rgb(code) for code in ("d9503c", "edb458", "f2ead6", "5b9279", "f2ead6", "3c6e9c")]

    def draw(turn):
        c = Canvas(width, height)
        x, y = c.x, c.y
        planks = np.clip(np.abs((x % 56) - 28) - 26.5, 0, 1.5)
        c.pixels[:] = lit(rgb("6d4f38"), grain, 0.16) * (1 - 0.4 * planks)[..., None]
        cx, cy, radius = width * 0.5, height * 0.5, height * 0.36
        shadow = np.hypot(x - cx - 5, y - cy - 8) - radius
        c.pixels *= (1 - 0.5 * np.clip(0.5 - shadow / 10, 0, 1))[..., None]
        r = np.hypot(x - cx, y - cy)
        c.fill(rgb("2b2320"), r - radius)
        angle = math.radians(-100) + turn * math.radians(120)
        around = (np.arctan2(y - cy, x - cx) - angle) % (2 * math.pi)
        for i, colour in enumerate(colours):
            middle = (i + 0.5) * math.pi / 3
            away = np.abs((around - middle + math.pi) % (2 * math.pi) - math.pi)
            wedge = np.maximum(r * np.sin(np.clip(away - math.pi / 6, -1.5, 1.5)), r - radius + 6)
            c.fill(lit(colour, grain, 0.04), np.maximum(wedge, 0.12 * radius - r))
        c.fill(rgb("e9d7a5"), r - radius * 0.15)
        c.fill(rgb("8c6d2f"), r - radius * 0.07)
        # A peg at the rim tells the wheel's angle; the pointer above it stays.
        c.fill(rgb("1e1a18"), np.hypot(x - cx - 0.86 * radius * math.cos(angle), y - cy - 0.86 * radius * math.sin(angle)) - 6)
        c.fill(rgb("f4d35e"), np.hypot(x - cx - 0.86 * radius * math.cos(angle), y - cy - 0.86 * radius * math.sin(angle)) - 4)
        c.fill(rgb("f7f3e8"), np.maximum(np.abs(x - cx) * 1.6 + (y - cy + radius - 14), cy - radius - 14 - y))
        c.glow(rgb("fff2d8"), 0.16 * np.exp(-((x - width * 0.32) ** 2 + (y - height * 0.25) ** 2) / (0.2 * width) ** 2))
        c.pixels *= (1.02 - 0.5 * (((x - cx) / width) ** 2 + ((y - cy) / height) ** 2))[..., None]
        return c.frame()

    return draw


def encode(path, draw, width, height, seconds, backwards=False):
    """Draws every frame and writes the file."""
    codec = {
        ".mp4": ["-c:v", "libx264", "-preset", "slow", "-crf", "25", "-g", "25", "-threads", "1", "-movflags", "+faststart"],
        ".webm": ["-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-g", "50", "-threads", "1", "-row-mt", "0"],
    }[path.suffix]
    count = round(seconds * FPS)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-"]
    # swscale's default matrix is BT.601; the tags say so, and +bitexact keeps versions and dates out of the file.
    tags = ["-pix_fmt", "yuv420p", "-colorspace", "smpte170m", "-color_primaries", "smpte170m", "-color_trc", "smpte170m", "-color_range", "tv"]
    command = ["ffmpeg", "-v", "error", "-y", *raw, *codec, *tags, "-fflags", "+bitexact", "-flags:v", "+bitexact", "-an", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        for i in range(count):
            t = i / (count - 1)
            encoder.stdin.write(draw(ease(1 - t if backwards else t)).tobytes())
        encoder.stdin.close()
    if encoder.returncode:
        sys.exit(f"ffmpeg failed on {path}")
    print(f"{path.name}  {count} frames  {path.stat().st_size / 1e3:.0f} kB")


def main():
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else pathlib.Path(__file__).parents[1] / "assets" / "clips")
    out.mkdir(parents=True, exist_ok=True)
    green = door(320, 240, rgb("7d9aa0"), rgb("b5532f"), rgb("f3d9a0"), seed=11)
    encode(out / "door_opening.mp4", green, 320, 240, 2.4)
    blue = door(320, 240, rgb("b9a184"), rgb("2f6f73"), rgb("cfe3ea"), seed=21, hinge_right=True)
    encode(out / "door_closing.webm", blue, 320, 240, 2.2, backwards=True)
    encode(out / "ball_rising.mp4", ball(256, 256), 256, 256, 2.4)
    encode(out / "wheel_turning.webm", wheel(320, 240), 320, 240, 2.4)


if __name__ == "__main__":
    main()
