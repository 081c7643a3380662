#!/usr/bin/env python3
"""Prints the tables in the tests of src/video/transform.rs: digests of pictures of odd sizes as Pillow transforms them.

    python3 scripts/make_transform_golden.py      # needs numpy, Pillow, torch and transformers (5)

A picture is noise from a formula that the tests repeat, so that only a digest of each result is kept. The first table has three digests
per picture: DINOv2's, resized and cropped as torchvision's `Resize(256, BICUBIC)` and `CenterCrop(224)` do it on Pillow images;
CLIP's by transformers' image processor, the Pillow one, before it scales and normalises; SigLIP's, by Pillow as
transformers calls it, but resized horizontally first and then vertically. Pillow 12.3 does this in one call, except for very tall
pictures (here 3 x 501). Pillow 13.0 does not do it for pictures that are taller than wide: it resizes vertically first, which
differs by up to 20 levels on noise.

The second table has the other ways that models ask for: SigLIP 2's and DINOv3's (both sides, bilinear) at 224, 256 and 384; transformers'
BitImageProcessor (the shorter side to 256, then 224); the same with bilinear; timm's at 256 and 518 without a margin.
"""

import hashlib

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

CLIP = CLIPImageProcessorPil(do_rescale=False, do_normalize=False)

SIZES = [
    (293, 240), (240, 293), (426, 240), (1280, 720), (720, 1280), (1920, 1080), (256, 256), (224, 224), (255, 257),
    (641, 479), (97, 65), (13, 7), (400, 10), (3, 501), (2, 3), (1, 1),
]  # fmt: skip


def noise(width, height):
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (height, width, 3)), indexing="ij")
    v = x * np.uint32(73856093) ^ y * np.uint32(19349663) ^ c * np.uint32(83492791)
    v = (v ^ v >> np.uint32(15)) * np.uint32(2246822519)
    return (v >> np.uint32(16)).astype(np.uint8)


def clip(picture):
    pixels = CLIP(picture, input_data_format="channels_last", return_tensors="np")["pixel_values"][0]
    assert pixels.dtype == np.uint8 and pixels.shape == (3, 224, 224)
    return pixels.transpose(1, 2, 0)


def squashed(picture, side, resample):
    across = Image.fromarray(picture).resize((side, picture.shape[0]), resample)
    return np.asarray(across.resize((side, side), resample))


def shorter(picture, short, side, resample, middle):
    height, width, _ = picture.shape
    size = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    left, top = (middle((long - side) / 2) for long in size)
    across = Image.fromarray(picture).resize((size[0], height), resample)
    return np.asarray(across.resize(size, resample).crop((left, top, left + side, top + side)))


def transformed(picture):
    height, width, _ = picture.shape
    size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    left, top = (round((side - 224) / 2) for side in size)
    return Image.fromarray(picture).resize(size, Image.BICUBIC).crop((left, top, left + 224, top + 224))


OTHERS = [
    lambda picture: squashed(picture, 224, Image.BILINEAR),
    lambda picture: squashed(picture, 256, Image.BILINEAR),
    lambda picture: squashed(picture, 384, Image.BILINEAR),
    lambda picture: shorter(picture, 256, 224, Image.BICUBIC, int),
    lambda picture: shorter(picture, 256, 224, Image.BILINEAR, int),
    lambda picture: shorter(picture, 256, 256, Image.BICUBIC, round),
    lambda picture: shorter(picture, 518, 518, Image.BICUBIC, round),
]


def digest(pixels):
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    for width, height in SIZES:
        picture = noise(width, height)
        answers = [np.asarray(transformed(picture)), clip(picture), squashed(picture, 224, Image.BICUBIC)]
        print(f"        ({width}, {height}, [" + ", ".join(f'"{digest(pixels)}"' for pixels in answers) + "]),")
    print()
    for width, height in SIZES[:4] + SIZES[8:12] + SIZES[14:15]:
        answers = [of(noise(width, height)) for of in OTHERS]
        print(f"        ({width}, {height}, [" + ", ".join(f'"{digest(pixels)}"' for pixels in answers) + "]),")
