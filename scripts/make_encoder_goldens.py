#!/usr/bin/env python3
"""Makes the small CLIP and SigLIP that the tests load, and the features that transformers computes with them.

    python3 scripts/make_encoder_goldens.py tests/data/encoders      # needs torch, transformers (5), safetensors, Pillow, numpy

Both have width 48 and random weights. `clip/` is saved like a whole CLIPModel (without its text tower, except for one tensor), and
`siglip/` is an image tower alone. The weights have a larger spread than transformers' initialisation, so that every part of the network
changes the result. `features.safetensors` has `features (2, D)`: get_image_features of two pictures of noise (the formula of
make_transform_golden.py), computed in f64 and rounded to f32.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from make_transform_golden import noise
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, SiglipVisionConfig, SiglipVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIZES = [(293, 240), (97, 131)]
SHAPE = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=3, image_size=224, patch_size=16)


def draw(model):
    """Weights as large as trained ones, norms away from the identity."""
    generator = torch.Generator().manual_seed(11)
    for name, parameter in model.named_parameters():
        scale = 0.3 if parameter.dim() < 2 else 1.5 / parameter[0].numel() ** 0.5
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1


def features(model, processor):
    pictures = [Image.fromarray(noise(width, height)) for width, height in SIZES]
    pixels = torch.cat([processor(picture, return_tensors="pt")["pixel_values"] for picture in pictures])
    with torch.no_grad():
        if isinstance(model, CLIPModel):
            return model.get_image_features(pixels.double()).pooler_output
        return model(pixels.double()).pooler_output


def main():
    folder = Path(sys.argv[1])
    text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=8)
    text |= dict(bos_token_id=0, eos_token_id=1)
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=SHAPE, projection_dim=32)).eval()
    siglip = SiglipVisionModel(SiglipVisionConfig(**SHAPE)).eval()
    for name, model, processor in [("clip", clip, CLIPImageProcessorPil()), ("siglip", siglip, SiglipImageProcessorPil())]:
        draw(model)
        kept = folder / name
        kept.mkdir(parents=True, exist_ok=True)
        tensors = {key: value.clone() for key, value in model.state_dict().items()}
        others = [key for key in tensors if key.startswith("text_model.")]
        for key in others[1:]:
            del tensors[key]
        save_file(tensors, kept / "model.safetensors", metadata={"format": "pt"})
        (kept / "config.json").write_text(model.config.to_json_string())
        answer = features(model.double(), processor)
        save_file({"features": answer.float().contiguous()}, kept / "features.safetensors")
        print(name, tuple(answer.shape), f"std {answer.std():.3f}")


if __name__ == "__main__":
    main()
