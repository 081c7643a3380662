#!/usr/bin/env python3
"""Prints the table in the tests of src/video/transform.rs: what Pillow makes of pictures of odd sizes.

    python3 scripts/make_transform_golden.py      # needs numpy and Pillow

A picture is noise by a formula that the tests repeat, so that nothing but a digest of each answer is kept. Resizing and
cropping are written out as torchvision's `Resize(256, BICUBIC)` and `CenterCrop(224)` do them on Pillow images.
"""

import hashlib

import numpy as np
from PIL import Image

SIZES = [
    (293, 240), (240, 293), (426, 240), (1280, 720), (720, 1280), (1920, 1080), (256, 256), (224, 224), (255, 257),
    (641, 479), (97, 65), (13, 7), (400, 10), (3, 501), (2, 3), (1, 1),
]  # fmt: skip


def noise(width, height):
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (height, width, 3)), indexing="ij")
    v = x * np.uint32(73856093) ^ y * np.uint32(19349663) ^ c * np.uint32(83492791)
    v = (v ^ v >> np.uint32(15)) * np.uint32(2246822519)
    return (v >> np.uint32(16)).astype(np.uint8)


def transformed(picture):
    height, width, _ = picture.shape
    size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    left, top = (round((side - 224) / 2) for side in size)
    return Image.fromarray(picture).resize(size, Image.BICUBIC).crop((left, top, left + 224, top + 224))


for width, height in SIZES:
    digest = hashlib.sha256(np.asarray(transformed(noise(width, height))).tobytes()).hexdigest()
    print(f'        ({width}, {height}, "{digest[:16]}"),')
